// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/auth-challenge.h"

#include <gtest/gtest.h>

#include <kj/debug.h>

namespace bulkhead {
namespace {

TEST(AuthChallenge, OneAsRegistriesSendIt) {
  auto all = KJ_ASSERT_NONNULL(parseChallenges(
      "Bearer "
      "realm=\"https://a.example/token\",service=\"a.example\",scope=\"repository:x:pull\""));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].scheme, "bearer");
  EXPECT_EQ(all[0].parameter("realm"), "https://a.example/token");
  EXPECT_EQ(all[0].parameter("scope"), "repository:x:pull");
  EXPECT_EQ(all[0].parameter("error"), "");
}

TEST(AuthChallenge, SeveralInOneHeader) {
  auto all =
      KJ_ASSERT_NONNULL(parseChallenges(", Basic REALM = \"a \\\"b\\\"\" , x=y,, BEARER realm=z"));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].scheme, "basic");
  EXPECT_EQ(all[0].parameter("realm"), "a \"b\"");
  EXPECT_EQ(all[0].parameter("x"), "y");
  EXPECT_EQ(all[1].parameter("realm"), "z");
}

TEST(AuthChallenge, WhatIsNotWellFormedIsNone) {
  for (auto text : {"", " ", ",", "=", "Bearer realm=", "Bearer realm=\"x", "Bearer realm=\"x\\",
                    "Bearer realm=\"a\nb\"", "Bearer realm=x realm2=y", "Bearer a=1,a=2",
                    "Bearer a=\"1\"b", "\"x\"", "Bearer \x01=x"}) {
    EXPECT_TRUE(parseChallenges(text) == nullptr) << text;
  }
}

TEST(AuthChallenge, ThereIsAnEnd) {
  kj::String many = kj::str("A");
  for (int i = 0; i < 20; ++i) many = kj::str(many, ", A", i);
  EXPECT_TRUE(parseChallenges(many) == nullptr);
  kj::String parameters = kj::str("A a=b");
  for (int i = 0; i < 20; ++i) parameters = kj::str(parameters, ", x", i, "=y");
  EXPECT_TRUE(parseChallenges(parameters) == nullptr);
}

}  // namespace
}  // namespace bulkhead
