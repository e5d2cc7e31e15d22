// SPDX-License-Identifier: Apache-2.0
#include "netd/config.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::net {
namespace {

kj::String subjectOfRefusal(kj::StringPtr text) {
  try {
    Config::parse(text);
  } catch (const kj::Exception& e) {
    auto found = failureOf(e);
    KJ_ASSERT(found.code == FailureCode::INVALID);
    return kj::mv(found.subject);
  }
  return kj::str("accepted");
}

TEST(Config, HoldsWithoutAFile) {
  auto config = Config::load("/nonexistent/netd.toml");
  EXPECT_EQ(config.ranges.v4.text(), "10.75.0.0/16");
  EXPECT_EQ(config.ranges.v6.text(), "fdd4:1476:6c7e::/48");
  EXPECT_EQ(config.mtu, 1500u);
  EXPECT_EQ(config.nameservers.size(), 0u);
}

TEST(Config, ReadsEveryKey) {
  auto config = Config::parse(R"(
    ipv4-range = "192.0.2.0/24"
    ipv6-range = "fd01::/64"
    mtu = 9000
    nameservers = ["192.0.2.53", "fd01::35"]
  )");
  EXPECT_EQ(config.ranges.v4.text(), "192.0.2.0/24");
  EXPECT_EQ(config.ranges.v6.text(), "fd01::/64");
  EXPECT_EQ(config.mtu, 9000u);
  ASSERT_EQ(config.nameservers.size(), 2u);
  EXPECT_EQ(config.nameservers[1].text(), "fd01::35");
}

TEST(Config, RefusesWhatItDoesNotUnderstand) {
  EXPECT_EQ(subjectOfRefusal("mtu = "), "netd.toml");
  EXPECT_EQ(subjectOfRefusal("ipv5 = \"10.0.0.0/8\""), "netd.toml: ipv5");
  EXPECT_EQ(subjectOfRefusal("ipv4-range = 10"), "netd.toml: ipv4-range");
  EXPECT_EQ(subjectOfRefusal("ipv4-range = \"10.75.0.1/16\""), "netd.toml: ipv4-range");
  EXPECT_EQ(subjectOfRefusal("ipv4-range = \"10.75.0.0/31\""), "netd.toml: ipv4-range");
  EXPECT_EQ(subjectOfRefusal("ipv4-range = \"fd00::/64\""), "netd.toml: ipv4-range");
  EXPECT_EQ(subjectOfRefusal("ipv6-range = \"fd00::/120\""), "netd.toml: ipv6-range");
  EXPECT_EQ(subjectOfRefusal("mtu = 1279"), "netd.toml: mtu");
  EXPECT_EQ(subjectOfRefusal("mtu = 65001"), "netd.toml: mtu");
  EXPECT_EQ(subjectOfRefusal("nameservers = [\"dns.example\"]"), "netd.toml: nameservers");
}

}  // namespace
}  // namespace bulkhead::net
