// SPDX-License-Identifier: Apache-2.0
// References and digests. A reference that is taken has one spelling, and that means itself.
#include <kj/debug.h>

#include "imaged/digest.h"
#include "imaged/reference.h"
#include "tests/fuzz/typed-failure.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead;
  auto text = kj::heapString(reinterpret_cast<const char*>(data), size);
  fuzz::expectTypedFailure([&]() { Digest::parse(text, "fuzz"); });
  fuzz::expectTypedFailure([&]() {
    auto name = Reference::parse(text, "docker.io").canonical();
    auto again = Reference::parse(name, "docker.io").canonical();
    KJ_ASSERT(again == name, name, again);
  });
  return 0;
}
