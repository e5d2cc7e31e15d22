# SPDX-License-Identifier: Apache-2.0
# The tests of sandbox and crash guard, with the processes that die in them.
set(testdata ${CMAKE_SOURCE_DIR}/sandbox-policies/testdata)
bulkhead_policy(test-server ${testdata}/test-server.policy)
bulkhead_policy(test-files ${testdata}/test-files.policy)
bulkhead_library(child-process child-process.cc LINK bulkhead-capnp)

bulkhead_test(sandbox-test sandbox-test.cc
  LINK bulkhead-runtime policy-test-server policy-test-files child-process)
bulkhead_test(sandboxed-server-test sandboxed-server-test.cc
  LINK bulkhead-runtime policy-test-server child-process ${BULKHEAD_POLICY_LIBRARIES})

# The same program twice: hardened and guarded, and with no measure at all. Under sanitizers every
# violation would be the sanitizer's, so there the guard is tested by sandboxed-server-test only.
if(NOT BULKHEAD_SANITIZE)
  add_executable(crash-guard-victim crash-guard-victim.cc)
  target_compile_definitions(crash-guard-victim PRIVATE VICTIM_GUARDED)
  target_compile_options(crash-guard-victim PRIVATE -O2 -w)
  target_link_libraries(crash-guard-victim PRIVATE bulkhead-runtime bulkhead-allocator)

  add_executable(crash-guard-bare-victim crash-guard-victim.cc)
  target_compile_options(crash-guard-bare-victim PRIVATE
    -O2 -w -U_FORTIFY_SOURCE -U_GLIBCXX_ASSERTIONS -fno-stack-protector)
  target_link_libraries(crash-guard-bare-victim PRIVATE bulkhead-capnp)

  bulkhead_test(crash-guard-test crash-guard-test.cc LINK bulkhead-runtime child-process)
  target_compile_definitions(crash-guard-test PRIVATE
    GUARDED_VICTIM="$<TARGET_FILE:crash-guard-victim>"
    BARE_VICTIM="$<TARGET_FILE:crash-guard-bare-victim>")
  add_dependencies(crash-guard-test crash-guard-victim crash-guard-bare-victim)
endif()
