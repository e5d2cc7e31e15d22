# SPDX-License-Identifier: Apache-2.0
# The few target shapes the folders use, so that each CMakeLists.txt is a list of files.

# bulkhead_library(NAME SOURCES... [LINK libraries...])
function(bulkhead_library name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  add_library(${name} STATIC ${arg_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  target_link_libraries(${name} PUBLIC ${arg_LINK})
endfunction()

# bulkhead_daemon(NAME SOURCES... [LINK libraries...]): a program in /usr/lib/bulkhead
function(bulkhead_daemon name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${arg_LINK} bulkhead-runtime bulkhead-allocator)
  install(TARGETS ${name} RUNTIME DESTINATION lib/bulkhead COMPONENT ${name})
endfunction()

# bulkhead_pointer_arithmetic(FILES...): sources that may do what -Wunsafe-buffer-usage reports. The
# reason stands beside each call.
function(bulkhead_pointer_arithmetic)
  set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS -Wno-unsafe-buffer-usage)
endfunction()

# bulkhead_test(NAME SOURCES... [LINK libraries...]): GoogleTest cases, one ctest entry each.
function(bulkhead_test name)
  cmake_parse_arguments(arg "" "" "LINK;LABELS" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  # Tests make broken bytes by hand; what they catch is for the sanitizers' run to find.
  target_compile_options(${name} PRIVATE -Wno-unsafe-buffer-usage)
  target_link_libraries(${name} PRIVATE ${arg_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  # A hang is the only thing this timeout is for.
  gtest_discover_tests(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 300 DISCOVERY_TIMEOUT 60)
endfunction()
