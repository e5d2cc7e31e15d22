// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/names.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

TEST(Names, TheRule) {
  EXPECT_TRUE(isValidName("a"));
  EXPECT_TRUE(isValidName("0-9"));
  EXPECT_TRUE(isValidName("web-1"));
  EXPECT_TRUE(isValidName(kj::str(std::string(63, 'a').c_str())));
  for (kj::StringPtr bad : {"", "-a", "A", "a_b", "a/b", "a b", "../x", "\x1b[2J", "a\n"}) {
    EXPECT_FALSE(isValidName(bad)) << bad.cStr();
  }
  EXPECT_FALSE(isValidName(kj::str(std::string(64, 'a').c_str())));
}

TEST(Names, InventedOnesAreValidAndNotTaken) {
  auto first = inventName([](kj::StringPtr) { return false; });
  EXPECT_TRUE(isValidName(first));
  int refused = 0;
  auto late = inventName([&](kj::StringPtr) { return ++refused < 30; });
  EXPECT_TRUE(isValidName(late)) << late.cStr();
}

}  // namespace
}  // namespace bulkhead
