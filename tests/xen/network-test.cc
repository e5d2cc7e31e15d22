// SPDX-License-Identifier: Apache-2.0
// What a zone reaches, and what it does not.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/xen/host.h"

namespace bulkhead::xentest {
namespace {

std::string addressOf(Zone& zone) {
  auto shown =
      zone.exec({"sh", "-c", "ip -4 -o addr show dev eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'"});
  return shown.out.substr(0, shown.out.find('\n'));
}

TEST(Network, TwoZonesReachTheGatewayButNotEachOther) {
  NothingLeft nothing;
  Zone one("one", {"--pv"}, {"localhost:5000/busybox", "sleep", "100000"});
  Zone two("two", {"--pv"}, {"localhost:5000/busybox", "sleep", "100000"});
  auto first = addressOf(one);
  auto second = addressOf(two);
  ASSERT_THAT(first, testing::StartsWith("10.75."));
  ASSERT_THAT(second, testing::StartsWith("10.75."));
  ASSERT_NE(first, second);
  EXPECT_EQ(one.exec({"ping", "-c", "2", "-W", "10", "169.254.1.1"}).code, 0);
  EXPECT_EQ(two.exec({"ping", "-c", "2", "-W", "10", "169.254.1.1"}).code, 0);
  EXPECT_NE(one.exec({"ping", "-c", "2", "-W", "2", second}).code, 0);
  EXPECT_NE(two.exec({"ping", "-c", "2", "-W", "2", first}).code, 0);
}

TEST(Network, AForgedAddressIsDropped) {
  NothingLeft nothing;
  Zone zone("forger", {"--pv"}, {"localhost:5000/busybox", "sleep", "100000"});
  ASSERT_EQ(zone.exec({"ping", "-c", "1", "-W", "10", "169.254.1.1"}).code, 0);
  // The container may not configure links, which is the first line; what is filtered behind it is
  // tested with forged frames in netd's own tests.
  EXPECT_NE(zone.exec({"ip", "addr", "add", "10.75.99.99/32", "dev", "eth0"}).code, 0);
}

TEST(Network, NoneMeansNone) {
  NothingLeft nothing;
  auto ran = run({"bulkhead", "run", "--pv", "--network", "none", "localhost:5000/busybox", "sh",
                  "-c", "ls /sys/class/net"});
  EXPECT_EQ(ran.code, 0) << ran;
  EXPECT_EQ(ran.out, "lo\n");
}

}  // namespace
}  // namespace bulkhead::xentest
