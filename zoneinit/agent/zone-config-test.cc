// SPDX-License-Identifier: Apache-2.0
#include <capnp/message.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "zoneinit/agent/interfaces.h"
#include "zoneinit/agent/zone-names.h"

namespace bulkhead::zone {
namespace {

TEST(AddressTest, ParsesStrictly) {
  EXPECT_TRUE(parseMac("02:00:00:00:0a:FF") != nullptr);
  for (auto text :
       {"", "02:00:00:00:00", "02:00:00:00:00:0g", "02-00-00-00-00-00", "02:00:00:00:00:00 "}) {
    EXPECT_TRUE(parseMac(text) == nullptr) << text;
  }
  auto v4 = KJ_ASSERT_NONNULL(parsePrefix("10.75.0.2/32"));
  EXPECT_EQ(v4.address.family, AF_INET);
  EXPECT_EQ(v4.length, 32);
  EXPECT_EQ(KJ_ASSERT_NONNULL(parsePrefix("fd00::2")).length, 128);
  for (auto text :
       {"10.75.0.2/33", "10.75.0.2/", "10.75.0/24", "fd00::2/129", "10.75.0.2/-1", ""}) {
    EXPECT_TRUE(parsePrefix(text) == nullptr) << text;
  }
}

class NameFilesTest : public testing::Test {
 protected:
  NameFilesTest() : config(message.initRoot<schema::ZoneConfig>()) {}
  ~NameFilesTest() noexcept override {}
  capnp::MallocMessageBuilder message;
  schema::ZoneConfig::Builder config;
};

TEST_F(NameFilesTest, WritesResolverAndHosts) {
  config.initNameservers(2).set(0, "169.254.1.1");
  config.getNameservers().set(1, "fe80::1");
  config.initSearchDomains(1).set(0, "a.example");
  auto host = config.initHosts(1)[0];
  host.setKey("db");
  host.setValue("10.0.0.1");
  auto files = makeNameFiles(config.asReader());
  EXPECT_STREQ(files.resolver.cStr(),
               "nameserver 169.254.1.1\nnameserver fe80::1\nsearch a.example\n");
  EXPECT_TRUE(files.hosts.endsWith("10.0.0.1\tdb\n"));
}

TEST_F(NameFilesTest, LetsNobodyAddALine) {
  config.initSearchDomains(1).set(0, "a\nnameserver 6.6.6.6");
  EXPECT_ANY_THROW(makeNameFiles(config.asReader()));
  config.initSearchDomains(0);
  config.initNameservers(1).set(0, "1.1.1.1\n");
  EXPECT_ANY_THROW(makeNameFiles(config.asReader()));
  config.initNameservers(0);
  auto host = config.initHosts(1)[0];
  host.setKey("x y");
  host.setValue("10.0.0.1");
  EXPECT_ANY_THROW(makeNameFiles(config.asReader()));
}

}  // namespace
}  // namespace bulkhead::zone
