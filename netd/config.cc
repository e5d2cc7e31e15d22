// SPDX-License-Identifier: Apache-2.0
#include "netd/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/io.h>

#include <string>

#include "services/runtime/failure.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wconversion"
#pragma clang diagnostic ignored "-Wsign-conversion"
#pragma clang diagnostic ignored "-Wshadow"
#include <toml++/toml.hpp>
#pragma clang diagnostic pop

namespace bulkhead::net {
namespace {

constexpr uint64_t kLargestFile = 64 << 10;

[[noreturn]] void refuse(std::string_view key, kj::StringPtr why) {
  fail(FailureCode::INVALID, kj::str("netd.toml: ", kj::arrayPtr(key.data(), key.size())), why);
}

kj::String stringOf(std::string_view key, const toml::node& node) {
  auto* value = node.as_string();
  if (value == nullptr) refuse(key, "a string is expected");
  return kj::str(value->get().c_str());
}

IpRange rangeOf(std::string_view key, const toml::node& node, IpAddress::Family family,
                unsigned longest) {
  KJ_IF_MAYBE (range, IpRange::parse(stringOf(key, node))) {
    if (range->base.family != family) refuse(key, "a range of the other IP version");
    if (range->prefix < 8 || range->prefix > longest) {
      refuse(key, kj::str("the prefix length must be 8 to ", longest));
    }
    return *range;
  }
  refuse(key, "not a range such as 10.75.0.0/16");
}

uint32_t mtuOf(std::string_view key, const toml::node& node) {
  auto* value = node.as_integer();
  if (value == nullptr || value->get() < kSmallestMtu || value->get() > kLargestMtu) {
    refuse(key, kj::str("a number from ", kSmallestMtu, " to ", kLargestMtu, " is expected"));
  }
  return static_cast<uint32_t>(value->get());
}

kj::Vector<IpAddress> addressesOf(std::string_view key, const toml::node& node) {
  kj::Vector<IpAddress> result;
  auto* array = node.as_array();
  if (array == nullptr) refuse(key, "an array is expected");
  for (auto& element : *array) {
    KJ_IF_MAYBE (address, IpAddress::parse(stringOf(key, element))) {
      result.add(*address);
    } else {
      refuse(key, "not an IP address");
    }
  }
  return result;
}

}  // namespace

Config Config::defaults() {
  Config config;
  config.ranges.v4 = KJ_ASSERT_NONNULL(IpRange::parse("10.75.0.0/16"));
  config.ranges.v6 = KJ_ASSERT_NONNULL(IpRange::parse("fdd4:1476:6c7e::/48"));
  return config;
}

Config Config::parse(kj::StringPtr text) {
  auto parsed = toml::parse(std::string_view(text.begin(), text.size()));
  if (!parsed) {
    fail(FailureCode::INVALID, "netd.toml",
         kj::str("line ", parsed.error().source().begin.line, ": ",
                 kj::StringPtr(std::string(parsed.error().description()).c_str())));
  }
  auto config = defaults();
  for (auto&& [key, node] : parsed.table()) {
    std::string_view name = key.str();
    if (name == "ipv4-range") {
      config.ranges.v4 = rangeOf(name, node, IpAddress::Family::v4, 30);
    } else if (name == "ipv6-range") {
      config.ranges.v6 = rangeOf(name, node, IpAddress::Family::v6, 126);
    } else if (name == "mtu") {
      config.mtu = mtuOf(name, node);
    } else if (name == "nameservers") {
      config.nameservers = addressesOf(name, node);
    } else {
      refuse(name, "no such key");
    }
  }
  if (config.ranges.v6.lastNumber() < config.ranges.v4.lastNumber()) {
    refuse("ipv6-range", "the range is smaller than the IPv4 range");
  }
  return config;
}

Config Config::load(kj::StringPtr path) {
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC);
  if (raw < 0) {
    int error = errno;
    if (error == ENOENT) return defaults();
    fail(FailureCode::INVALID, path, kj::str("cannot be read: ", strerror(error)));
  }
  kj::FdInputStream input{kj::AutoCloseFd(raw)};
  return parse(input.readAllText(kLargestFile));
}

}  // namespace bulkhead::net
