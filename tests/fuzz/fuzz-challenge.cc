// SPDX-License-Identifier: Apache-2.0
// WWW-Authenticate.
#include "imaged/fetch/auth-challenge.h"
#include "tests/fuzz/typed-failure.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead;
  auto text = kj::heapString(reinterpret_cast<const char*>(data), size);
  fuzz::expectTypedFailure([&]() {
    auto challenges = parseChallenges(text);
    KJ_IF_MAYBE (list, challenges) {
      for (const auto& each : *list) each.parameter("realm");
    }
  });
  return 0;
}
