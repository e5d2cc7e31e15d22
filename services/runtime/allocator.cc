// SPDX-License-Identifier: Apache-2.0
// How the daemons' heap is set up: LLVM's Scudo, which takes the place of the C library's malloc.
#include <sanitizer/scudo_interface.h>

// Read by Scudo before the first allocation; SCUDO_OPTIONS in the environment comes after it.
//
// A freed block is kept back for a while, so that whoever writes through a stale pointer does not
// write into a new object; a new block is zeroed, so that it tells nothing of the old one; a block
// has to be freed as it was made. One allocation in 5000 (GWP-ASan's own rate) lies on a page of
// its own, where touching it after its end or its release is a fault at once. That fault is the
// crash guard's to report, whose handler GWP-ASan's would only precede.
extern "C" const char* __scudo_default_options() {
  return "quarantine_size_kb=256:thread_local_quarantine_size_kb=64:quarantine_max_chunk_size=2048:"
         "zero_contents=true:dealloc_type_mismatch=true:delete_size_mismatch=true:"
         "GWP_ASAN_Enabled=true:GWP_ASAN_InstallSignalHandlers=false";
}
