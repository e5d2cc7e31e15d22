// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/failure.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

namespace bulkhead {
namespace {

TEST(Failure, SurvivesAnException) {
  auto exception = failure(FailureCode::NOT_FOUND, "web", "no such zone", "see: bulkhead zone list")
                       .toException();
  auto found = failureOf(exception);
  EXPECT_EQ(found.code, FailureCode::NOT_FOUND);
  EXPECT_EQ(found.subject, "web");
  EXPECT_EQ(found.message, "no such zone");
  EXPECT_EQ(found.hint, "see: bulkhead zone list");
}

TEST(Failure, SurvivesThePrefixOfRpc) {
  auto original = failure(FailureCode::BUSY, "a", "b", "c").toException();
  kj::Exception remote(kj::Exception::Type::FAILED, "x", 1,
                       kj::str("remote exception: remote exception: ", original.getDescription()));
  EXPECT_EQ(failureOf(remote).code, FailureCode::BUSY);
  EXPECT_EQ(failureOf(remote).hint, "c");
}

TEST(Failure, FieldsCannotForgeOthers) {
  auto exception = failure(FailureCode::DENIED,
                           "a\x1f"
                           "b\x1e"
                           "failure\x1f"
                           "0",
                           "m")
                       .toException();
  auto found = failureOf(exception);
  EXPECT_EQ(found.code, FailureCode::DENIED);
  EXPECT_EQ(found.message, "m");
}

TEST(Failure, PlainExceptionsBecomeInternal) {
  EXPECT_EQ(failureOf(KJ_EXCEPTION(FAILED, "boom")).code, FailureCode::INTERNAL);
  EXPECT_EQ(failureOf(KJ_EXCEPTION(UNIMPLEMENTED, "x")).code, FailureCode::UNSUPPORTED);
  EXPECT_EQ(failureOf(KJ_EXCEPTION(DISCONNECTED, "x")).code, FailureCode::UNREACHABLE);
}

TEST(Failure, NamesCodesAsTheSchemaDoes) {
  EXPECT_EQ(codeName(FailureCode::DIGEST_MISMATCH), "digestMismatch");
  EXPECT_EQ(codeName(static_cast<FailureCode>(999)), "unknown");
}

TEST(Failure, DescriptionIsPrintable) {
  EXPECT_EQ(failure(FailureCode::INVALID, "\x1b[31mred", "bad\n").describe(),
            "\\x1b[31mred: bad\\x0a");
  EXPECT_EQ(printable(kj::StringPtr("abcdef"), 3), "abc...");
}

}  // namespace
}  // namespace bulkhead
