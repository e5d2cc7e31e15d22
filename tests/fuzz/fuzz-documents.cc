// SPDX-License-Identifier: Apache-2.0
// Indexes, manifests and configurations.
#include "imaged/documents.h"
#include "tests/fuzz/typed-failure.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead;
  auto bytes = kj::arrayPtr(data, size);
  fuzz::expectTypedFailure([&]() {
    auto document = parseDocument(bytes, "", "fuzz");
    if (!document.is<Index>()) return;
    auto wanted = PlatformName::resolve(schema::ImagePlatform::Reader());
    selectEntry(document.get<Index>(), "", wanted, "fuzz");
  });
  fuzz::expectTypedFailure([&]() { parseImageConfig(bytes, "fuzz"); });
  return 0;
}
