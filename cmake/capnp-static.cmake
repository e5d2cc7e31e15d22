# SPDX-License-Identifier: Apache-2.0
# Cap'n Proto, linked statically: every process carries exactly the version it was tested with.
find_program(CAPNP_COMPILER capnp REQUIRED)
find_path(CAPNP_INCLUDE capnp/common.h REQUIRED)
execute_process(COMMAND ${CAPNP_COMPILER} --version OUTPUT_VARIABLE capnp_version)
string(REGEX MATCH "[0-9]+\\.[0-9]+(\\.[0-9]+)?" capnp_version "${capnp_version}")
if(capnp_version VERSION_LESS 1.5.0)
  message(FATAL_ERROR "Cap'n Proto ${capnp_version} has known remote crashes; 1.5.0 or later is needed")
endif()

find_package(Threads REQUIRED)
foreach(lib kj kj-async capnp capnp-rpc capnp-json)
  find_library(lib_path_${lib} lib${lib}.a REQUIRED)
endforeach()
add_library(bulkhead-capnp INTERFACE)
target_link_libraries(bulkhead-capnp INTERFACE
  ${lib_path_capnp-rpc} ${lib_path_capnp-json} ${lib_path_capnp} ${lib_path_kj-async} ${lib_path_kj}
  Threads::Threads)
