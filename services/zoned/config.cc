// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/config.h"

#include <stdlib.h>

#include "services/runtime/failure.h"
#include "services/zoned/toml-file.h"

namespace bulkhead {
namespace {

kj::StringPtr keyOf(const toml::key& key) {
  return kj::StringPtr(key.str().data(), key.str().size());
}

kj::String textOf(const toml::node& node, kj::StringPtr path, kj::StringPtr key) {
  if (auto value = node.value<std::string>()) {
    return kj::str(kj::StringPtr(value->c_str(), value->size()));
  }
  fail(FailureCode::INVALID, path, kj::str(key, " is not a text"));
}

kj::Vector<kj::String> textsOf(const toml::node& node, kj::StringPtr path, kj::StringPtr key) {
  const auto* array = node.as_array();
  if (array == nullptr) fail(FailureCode::INVALID, path, kj::str(key, " is not a list of texts"));
  kj::Vector<kj::String> texts;
  for (const auto& each : *array) texts.add(textOf(each, path, key));
  return texts;
}

uint32_t numberOf(const toml::node& node, kj::StringPtr path, kj::StringPtr key, uint32_t low,
                  uint32_t high) {
  auto value = node.value<int64_t>();
  if (!value || *value < low || *value > high) {
    fail(FailureCode::INVALID, path, kj::str(key, " is not a number from ", low, " to ", high));
  }
  return static_cast<uint32_t>(*value);
}

}  // namespace

kj::String configurationDirectory() {
  const char* directory = getenv("CONFIGURATION_DIRECTORY");
  return kj::str(directory == nullptr ? "/etc/bulkhead" : directory);
}

ZonedConfig loadZonedConfig(kj::StringPtr path) {
  KJ_IF_MAYBE (text, readConfigFile(path)) {
    return parseZonedConfig(*text, path);
  }
  return {};
}

ZonedConfig parseZonedConfig(kj::StringPtr text, kj::StringPtr path) {
  auto table = parseToml(text, path);
  ZonedConfig config;
  for (const auto& [rawKey, node] : table) {
    auto key = keyOf(rawKey);
    if (key == "kernel-image") {
      config.kernelImage = textOf(node, path, key);
    } else if (key == "system-image") {
      config.systemImage = textOf(node, path, key);
    } else if (key == "extension-images") {
      config.extensionImages = textsOf(node, path, key);
    } else if (key == "kernel-options") {
      config.kernelOptions = textOf(node, path, key);
    } else if (key == "memory-mib") {
      config.memoryMiB = numberOf(node, path, key, 48, 1u << 20);
    } else if (key == "vcpus") {
      config.vcpus = static_cast<uint16_t>(numberOf(node, path, key, 1, 64));
    } else if (key == "boot-deadline-seconds") {
      config.bootDeadline = numberOf(node, path, key, 1, 86400) * kj::SECONDS;
    } else if (key == "zones-per-user") {
      config.zonesPerUser = numberOf(node, path, key, 1, 100000);
    } else {
      fail(FailureCode::INVALID, path, kj::str("unknown key ", key));
    }
  }
  return config;
}

}  // namespace bulkhead
