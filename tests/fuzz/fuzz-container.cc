// SPDX-License-Identifier: Apache-2.0
// What a client says of a container: a bundle's config.json, and a profile of system calls. A
// profile that is taken ends in a program that the kernel's checks would take as well.
#include <linux/filter.h>

#include <capnp/message.h>
#include <kj/debug.h>

#include "tests/fuzz/typed-failure.h"
#include "zoneinit/runtime/oci-config.h"
#include "zoneinit/runtime/spec.h"
#include "zoneinit/runtime/system-call-profile.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead;
  if (size == 0) return 0;
  auto text = kj::arrayPtr(data, size).slice(1, size);
  if (data[0] == 'c') {
    fuzz::expectTypedFailure([&]() {
      capnp::MallocMessageBuilder message;
      auto spec = message.initRoot<schema::WorkloadSpec>();
      spec.setId("fuzz");
      zone::readOciConfig(text, "/bundle", spec);
      zone::readContainerSpec(spec.asReader());
    });
  } else {
    fuzz::expectTypedFailure([&]() {
      auto filter = zone::customSystemCalls(text, zone::defaultCapabilities());
      auto program = filter.program.asPtr();
      KJ_ASSERT(program.size() > 0 && program.size() <= BPF_MAXINSNS);
      KJ_ASSERT(BPF_CLASS(program.back().code) == BPF_RET);
    });
  }
  return 0;
}
