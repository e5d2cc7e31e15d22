// SPDX-License-Identifier: Apache-2.0
#include "netd/agent/vif-name.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

namespace bulkhead::net {
namespace {

TEST(VifName, IsWhatTheBackEndMakes) {
  auto name = KJ_ASSERT_NONNULL(VifName::parse("vif32751.999999"));
  EXPECT_EQ(name.domid, 32751u);
  EXPECT_EQ(name.index, 999999u);
  EXPECT_EQ(name.text(), "vif32751.999999");
  EXPECT_LE(name.text().size(), 15u);
}

TEST(VifName, RefusesEverythingElse) {
  for (auto wrong : {"", "vif", "vif1", "vif1.", "vif.1", "vif01.0", "vif1.00", "vif1.0.0",
                     "vif1.0 ", "vif-1.0", "vif1.+2", "vif32752.0", "vif1.1000000", "vif1.0-emu",
                     "eth0", "Vif1.0", "vif4294967297.0"}) {
    EXPECT_TRUE(VifName::parse(wrong) == nullptr) << wrong;
  }
}

}  // namespace
}  // namespace bulkhead::net
