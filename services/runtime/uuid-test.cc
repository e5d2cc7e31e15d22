// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/uuid.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

namespace bulkhead {
namespace {

TEST(Uuid, RandomOnesAreOfVersionFourAndDiffer) {
  auto a = Uuid::random();
  auto b = Uuid::random();
  EXPECT_NE(a, b);
  EXPECT_EQ(a.text()[14], '4');
  EXPECT_EQ(a.text().size(), 36u);
}

TEST(Uuid, TextComesBack) {
  auto id = Uuid::random();
  auto text = id.text();
  EXPECT_EQ(KJ_ASSERT_NONNULL(Uuid::parse(text)), id);
  EXPECT_EQ(KJ_ASSERT_NONNULL(Uuid::from(id.data())), id);
}

TEST(Uuid, OtherFormsAreNone) {
  EXPECT_TRUE(Uuid::parse("") == nullptr);
  EXPECT_TRUE(Uuid::parse("00000000-0000-0000-0000-00000000000") == nullptr);
  EXPECT_TRUE(Uuid::parse("00000000x0000-0000-0000-000000000000") == nullptr);
  EXPECT_TRUE(Uuid::parse("g0000000-0000-0000-0000-000000000000") == nullptr);
  EXPECT_TRUE(Uuid::from(kj::StringPtr("short").asBytes()) == nullptr);
}

}  // namespace
}  // namespace bulkhead
