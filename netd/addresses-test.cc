// SPDX-License-Identifier: Apache-2.0
#include "netd/addresses.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

namespace bulkhead::net {
namespace {

IpRange range(kj::StringPtr text) { return KJ_ASSERT_NONNULL(IpRange::parse(text), text); }
IpAddress ip(kj::StringPtr text) { return KJ_ASSERT_NONNULL(IpAddress::parse(text), text); }

TEST(MacAddress, HasOneTextForm) {
  auto mac = KJ_ASSERT_NONNULL(MacAddress::parse("02:aB:00:10:fe:FF"));
  EXPECT_EQ(mac.text(), "02:ab:00:10:fe:ff");
  for (auto wrong : {"", "02:ab:00:10:fe", "02:ab:00:10:fe:ff:00", "02-ab-00-10-fe-ff",
                     "02:ab:00:10:fe:fg", "2:ab:00:10:fe:ff1", "02:ab:00:10:fe: f"}) {
    EXPECT_TRUE(MacAddress::parse(wrong) == nullptr) << wrong;
  }
}

TEST(MacAddress, RandomOnesAreLocalAndUnicast) {
  auto first = MacAddress::random();
  EXPECT_EQ(first.bytes[0], 0x02);
  EXPECT_TRUE(first.isInterfaceAddress());
  EXPECT_NE(first, MacAddress::random());
}

TEST(MacAddress, GroupsAndNothingAreNoInterface) {
  EXPECT_FALSE(KJ_ASSERT_NONNULL(MacAddress::parse("01:00:5e:00:00:01")).isInterfaceAddress());
  EXPECT_FALSE(KJ_ASSERT_NONNULL(MacAddress::parse("ff:ff:ff:ff:ff:ff")).isInterfaceAddress());
  EXPECT_FALSE(MacAddress{}.isInterfaceAddress());
}

TEST(IpAddress, ReadsHostsOnly) {
  EXPECT_EQ(ip("10.75.0.1").text(), "10.75.0.1");
  EXPECT_EQ(ip("10.75.0.1/32"), ip("10.75.0.1"));
  EXPECT_EQ(ip("FDD4:1476:6c7e:0::1/128").text(), "fdd4:1476:6c7e::1");
  EXPECT_EQ(ip("10.75.0.1").hostText(), "10.75.0.1/32");
  EXPECT_EQ(ip("fe80::1").hostText(), "fe80::1/128");
  for (auto wrong : {"", "10.75.0", "10.75.0.1/24", "10.75.0.1/", "10.75.0.1/032", "10.75.0.1 ",
                     "10.75.0.256", "fe80::1%eth0", "::1/32", "1::2::3", "/32", "localhost"}) {
    EXPECT_TRUE(IpAddress::parse(wrong) == nullptr) << wrong;
  }
}

TEST(IpAddress, LinkLocalComesFromTheMac) {
  auto mac = KJ_ASSERT_NONNULL(MacAddress::parse("02:00:00:12:34:56"));
  EXPECT_EQ(linkLocal(mac).text(), "fe80::ff:fe12:3456");
  mac.bytes[0] = 0x00;
  EXPECT_EQ(linkLocal(mac).text(), "fe80::200:ff:fe12:3456");
}

TEST(IpRange, RefusesBitsBehindThePrefix) {
  EXPECT_EQ(range("10.75.0.0/16").text(), "10.75.0.0/16");
  EXPECT_EQ(range("fdd4:1476:6c7e::/48").text(), "fdd4:1476:6c7e::/48");
  for (auto wrong : {"10.75.0.1/16", "10.75.0.0", "10.75.0.0/33", "10.75.0.0/-1", "fd00::1/64",
                     "fd00::/129", "10.75.0.0/016"}) {
    EXPECT_TRUE(IpRange::parse(wrong) == nullptr) << wrong;
  }
}

TEST(IpRange, CountsFromItsBase) {
  auto v4 = range("10.75.0.0/16");
  EXPECT_EQ(v4.lastNumber(), 65535u);
  EXPECT_EQ(v4.at(258).text(), "10.75.1.2");
  EXPECT_EQ(KJ_ASSERT_NONNULL(v4.numberOf(ip("10.75.1.2"))), 258u);
  EXPECT_TRUE(v4.numberOf(ip("10.76.1.2")) == nullptr);
  EXPECT_TRUE(v4.numberOf(ip("fd00::1")) == nullptr);

  auto v6 = range("fdd4:1476:6c7e::/48");
  EXPECT_EQ(v6.lastNumber(), UINT32_MAX);
  EXPECT_EQ(v6.at(0x10002).text(), "fdd4:1476:6c7e::1:2");
  EXPECT_EQ(KJ_ASSERT_NONNULL(v6.numberOf(ip("fdd4:1476:6c7e::1:2"))), 0x10002u);
  // In the range, but farther than a number reaches.
  EXPECT_TRUE(v6.numberOf(ip("fdd4:1476:6c7e:1::1")) == nullptr);
  EXPECT_TRUE(v6.numberOf(ip("fdd4:1476:6c7f::1")) == nullptr);
  EXPECT_EQ(range("192.0.2.4/30").lastNumber(), 3u);
}

}  // namespace
}  // namespace bulkhead::net
