// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/user-database.h"

#include <gtest/gtest.h>

#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

constexpr kj::StringPtr kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "short:x:1\n"
    "app:x:1000:1001:App:/srv/app:/bin/sh\n"
    "1234:x:5:6:a name of digits:/n:/bin/sh\n"
    "app:x:0:0:a second app:/:/bin/sh\n"
    "minus:x:-1:0:m:/:/bin/sh\n"
    "big:x:4294967296:0:b:/:/bin/sh\n"
    "relative:x:7:7:r:home:/bin/sh\n"
    ":x:8:8::/:\n"
    "last:x:9:9:no newline:/last:/bin/sh"_kj;
constexpr kj::StringPtr kGroup =
    "root:x:0:\n"
    "app:x:1001:app\n"
    "disk:x:50:root,app\n"
    "apple:x:51:apple\n"
    "bad:x:-3:app\n"
    "tail:x:52:other,app"_kj;

UserIdentity resolve(kj::StringPtr user) { return resolveUser(user, kPasswd, kGroup); }

FailureCode failureOfUser(kj::StringPtr user) {
  try {
    resolve(user);
  } catch (...) {
    return failureOf(kj::getCaughtExceptionAsKj()).code;
  }
  return FailureCode::INTERNAL;
}

TEST(UserDatabaseTest, FindsUsersByName) {
  auto app = resolve("app");
  EXPECT_EQ(app.user, 1000u);
  EXPECT_EQ(app.group, 1001u);
  EXPECT_STREQ(app.home.cStr(), "/srv/app");
  ASSERT_EQ(app.groups.size(), 2u);
  EXPECT_EQ(app.groups[0], 50u);
  EXPECT_EQ(app.groups[1], 52u);
  EXPECT_EQ(resolve("last").user, 9u);
}

TEST(UserDatabaseTest, TakesRootForNothing) {
  auto root = resolveUser("", nullptr, nullptr);
  EXPECT_EQ(root.user, 0u);
  EXPECT_EQ(root.group, 0u);
  EXPECT_STREQ(root.home.cStr(), "/");
  EXPECT_STREQ(resolve("").home.cStr(), "/root");
}

TEST(UserDatabaseTest, KeepsNumbersNumbers) {
  auto digits = resolve("1234");
  EXPECT_EQ(digits.user, 1234u);
  EXPECT_EQ(digits.group, 0u);
  auto known = resolve("1000");
  EXPECT_EQ(known.group, 1001u);
  EXPECT_EQ(known.groups.size(), 2u);
}

TEST(UserDatabaseTest, LetsAnExplicitGroupStandAlone) {
  auto user = resolve("app:disk");
  EXPECT_EQ(user.group, 50u);
  EXPECT_EQ(user.groups.size(), 0u);
  EXPECT_EQ(resolve("1000:77").group, 77u);
}

TEST(UserDatabaseTest, RefusesWhatNamesNobody) {
  for (auto user : {"nobody", "app:nogroup", "4294967296", "2147483648", "-1", ":", ":5", "app:",
                    "minus", "big", "short", "99999999999999999999999", "app:bad", "app:app:app"}) {
    EXPECT_EQ(failureOfUser(user), FailureCode::INVALID) << user;
  }
  EXPECT_EQ(resolve("2147483647").user, 2147483647u);
}

TEST(UserDatabaseTest, IgnoresAHomeThatIsNoPath) {
  EXPECT_STREQ(resolve("relative").home.cStr(), "/");
}

}  // namespace
}  // namespace bulkhead::zone
