// SPDX-License-Identifier: Apache-2.0
#include "imaged/digest.h"

#include "imaged/testing/failures.h"

namespace bulkhead {
namespace {

using testing::failureFrom;

constexpr kj::StringPtr kEmpty =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"_kj;

TEST(Digest, OfNothingIsTheKnownOne) {
  EXPECT_EQ(Digest::of(nullptr).toString(), kEmpty);
  EXPECT_TRUE(Digest::parse(kEmpty, "test") == Digest::of(nullptr));
}

TEST(Digest, HashingInPiecesIsTheSame) {
  Sha256 hash;
  hash.update("a"_kj.asBytes());
  hash.update("bc"_kj.asBytes());
  auto digest = hash.finish();
  EXPECT_TRUE(digest == Digest::of("abc"_kj.asBytes()));
  EXPECT_TRUE(hash.finish() == Digest::of(nullptr));
}

TEST(Digest, NothingButTheGrammarIsOne) {
  const char* wrong[] = {
      "",
      "sha256:",
      "sha256:../../etc/passwd",
      "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
      "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
      "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555",
      "sha256:g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "md5:d41d8cd98f00b204e9800998ecf8427e",
      " sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  };
  for (const char* text : wrong) {
    EXPECT_EQ(failureFrom([&]() { Digest::parse(text, "test"); }).code, FailureCode::INVALID)
        << text;
  }
  EXPECT_EQ(failureFrom([&]() { Digest::parse("sha512:00", "test"); }).code,
            FailureCode::UNSUPPORTED);
}

}  // namespace
}  // namespace bulkhead
