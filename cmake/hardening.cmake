# SPDX-License-Identifier: Apache-2.0
# Every measure is set here by name: compilers differ in what they turn on by themselves.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_CXX_EXTENSIONS ON)  # xenguest.h wants the GNU dialect
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(BULKHEAD_SANITIZE "" CACHE STRING "sanitizers to build with: address,undefined or thread")
option(BULKHEAD_FUZZ "build the fuzz targets, and everything so that libFuzzer sees what it reaches")

add_compile_options(
  -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wimplicit-fallthrough -Werror
  -Wunsafe-buffer-usage -Wno-unsafe-buffer-usage-in-container
  -fno-omit-frame-pointer)
# Functions and lines: what a crash report shows. All else would be a tenth of the build.
string(APPEND CMAKE_CXX_FLAGS_DEBUG " -g1")
string(APPEND CMAKE_CXX_FLAGS_RELWITHDEBINFO " -g1")
add_compile_definitions(_GNU_SOURCE _GLIBCXX_ASSERTIONS)

if(BULKHEAD_SANITIZE)
  add_compile_definitions(BULKHEAD_SANITIZED)
  add_compile_options(-O1 -fsanitize=${BULKHEAD_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${BULKHEAD_SANITIZE})
  if(BULKHEAD_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
  if(BULKHEAD_SANITIZE MATCHES undefined)
    # Cap'n Proto's libraries are built without RTTI checks for -fsanitize=vptr and without the
    # function type metadata that -fsanitize=function compares; both report only on them.
    add_compile_options(-fno-sanitize=vptr,function)
  endif()
else()
  add_compile_options(
    -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
    -ftrivial-auto-var-init=zero -fstrict-flex-arrays=3)
  add_link_options(-Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code)
  if(CMAKE_BUILD_TYPE STREQUAL Debug)
    add_compile_options(-O1)
    add_compile_definitions(_FORTIFY_SOURCE=2)
  else()
    add_compile_definitions(_FORTIFY_SOURCE=3)
  endif()
endif()
add_link_options(-pie -Wl,--gc-sections -Wl,--build-id=sha1)
add_compile_options(-ffunction-sections -fdata-sections)
