// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/access.h"

#include <gtest/gtest.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

NameService someNames() {
  return {[](kj::StringPtr name) -> kj::Maybe<uid_t> {
            if (name == "alice") return uid_t{1000};
            if (name == "carol") return uid_t{1002};
            return nullptr;
          },
          [](kj::StringPtr name) -> kj::Maybe<gid_t> {
            if (name == "bulkhead") return gid_t{200};
            if (name == "operators") return gid_t{300};
            return nullptr;
          }};
}

AccessPolicy parse(kj::StringPtr text) {
  auto names = someNames();
  return AccessPolicy::parse(text, "access.toml", names);
}

PeerIdentity peer(uid_t user, gid_t group = 1000, std::vector<gid_t> groups = {}) {
  return {user, group, 1, std::move(groups)};
}

TEST(Access, DefaultsAreRootAndTheGroup) {
  auto policy = parse("");
  EXPECT_EQ(policy.roleOf(peer(0)), Role::administrator);
  EXPECT_EQ(policy.roleOf(peer(1000)), Role::none);
  EXPECT_EQ(policy.roleOf(peer(1000, 1000, {5, 200})), Role::user);
  EXPECT_EQ(policy.roleOf(peer(1000, 200)), Role::user);
}

TEST(Access, NamesAndNumbers) {
  auto policy = parse(
      "users = [\"alice\", 1001]\n"
      "groups = []\n"
      "administrators = [\"carol\"]\n"
      "administrator-groups = [\"operators\"]\n");
  EXPECT_EQ(policy.roleOf(peer(1000)), Role::user);
  EXPECT_EQ(policy.roleOf(peer(1001)), Role::user);
  EXPECT_EQ(policy.roleOf(peer(1002)), Role::administrator);
  EXPECT_EQ(policy.roleOf(peer(1003, 1003, {300})), Role::administrator);
  EXPECT_EQ(policy.roleOf(peer(0)), Role::administrator);
  EXPECT_EQ(policy.roleOf(peer(1003, 1003, {200})), Role::none);
}

TEST(Access, UnknownNamesAdmitNobody) {
  auto policy = parse("users = [\"mallory\"]\n");
  EXPECT_EQ(policy.roleOf(peer(1000)), Role::none);
}

TEST(Access, MistakesAreErrors) {
  for (kj::StringPtr text : {"user = []", "users = 1", "users = [true]", "users = [-1]",
                             "users = [4294967295]", "users = ["}) {
    EXPECT_THROW(parse(text), kj::Exception) << text.cStr();
  }
}

}  // namespace
}  // namespace bulkhead
