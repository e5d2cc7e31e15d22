// SPDX-License-Identifier: Apache-2.0
#include "imaged/platform.h"

namespace bulkhead {
namespace {

kj::StringPtr machineArchitecture() {
#if defined(__x86_64__)
  return "amd64";
#elif defined(__aarch64__)
  return "arm64";
#else
#error "name this architecture as the OCI image specification does"
#endif
}

kj::String or_(kj::StringPtr text, kj::StringPtr otherwise) {
  return kj::str(text.size() > 0 ? text : otherwise);
}

// The generation that a variant "v7" stands for; 0 where it has another form.
uint generation(const PlatformName& platform) {
  kj::StringPtr variant = platform.variant;
  if (variant.size() == 0) {
    if (platform.architecture == "amd64") return 1;
    if (platform.architecture == "arm64") return 8;
    if (platform.architecture == "arm") return 7;
    return 0;
  }
  if (variant.size() == 2 && variant[0] == 'v' && variant[1] >= '1' && variant[1] <= '9') {
    return static_cast<uint>(variant[1] - '0');
  }
  return 0;
}

}  // namespace

PlatformName PlatformName::resolve(schema::ImagePlatform::Reader wanted) {
  return {or_(wanted.getOs(), "linux"), or_(wanted.getArchitecture(), machineArchitecture()),
          kj::str(wanted.getVariant())};
}

PlatformName PlatformName::clone() const {
  return {kj::str(os), kj::str(architecture), kj::str(variant)};
}

void PlatformName::write(schema::ImagePlatform::Builder out) const {
  out.setOs(os);
  out.setArchitecture(architecture);
  out.setVariant(variant);
}

kj::String PlatformName::describe() const {
  auto text = kj::str(os, "/", architecture);
  return variant.size() == 0 ? kj::mv(text) : kj::str(text, "/", variant);
}

kj::Maybe<uint> platformFit(const PlatformName& wanted, const PlatformName& offered) {
  if (wanted.os != offered.os || wanted.architecture != offered.architecture) return nullptr;
  if (wanted.variant == offered.variant) return 100u;
  uint want = generation(wanted);
  uint have = generation(offered);
  if (want == 0 || have == 0 || have > want) return nullptr;
  return 99 - (want - have);
}

}  // namespace bulkhead
