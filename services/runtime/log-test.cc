// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/log.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

TEST(Log, WritesOnePrintableLine) {
  testing::internal::CaptureStderr();
  Log log("unit");
  log.info("hello\nworld", {field("ZONE", "a\x1b[1m")});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "<6>unit: hello\\x0aworld ZONE=a\\x1b[1m\n");
}

TEST(Log, SecretsDoNotShow) {
  testing::internal::CaptureStderr();
  Log log("unit");
  Secret token(kj::str("hunter2"));
  log.info("login", {field("TOKEN", token)});
  auto text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("hunter2"), std::string::npos);
  EXPECT_NE(text.find("(secret)"), std::string::npos);
}

TEST(Log, BurstsAreCountedAndDropped) {
  testing::internal::CaptureStderr();
  Log log("unit");
  for (int i = 0; i < 1000; ++i) log.info("line");
  testing::internal::GetCapturedStderr();
  EXPECT_GE(log.dropped(), 500u);
}

}  // namespace
}  // namespace bulkhead
