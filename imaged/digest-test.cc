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
  EXPECT_EQ(failureFrom([&]() { Digest::parse("sha384:00", "test"); }).code,
            FailureCode::UNSUPPORTED);
}

TEST(Digest, Sha512IsTheOtherOne) {
  auto digest = Digest::of("abc"_kj.asBytes(), DigestAlgorithm::sha512);
  auto text = digest.toString();
  // FIPS 180-4's own example.
  EXPECT_EQ(text,
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
  EXPECT_TRUE(Digest::parse(text, "test") == digest);
  EXPECT_TRUE(Digest::fromBytes(digest.bytes()) == digest);
  EXPECT_TRUE(digest.names("abc"_kj.asBytes()));
  EXPECT_FALSE(digest.names("abd"_kj.asBytes()));
  EXPECT_FALSE(digest == Digest::of("abc"_kj.asBytes()));
  // The digits of one algorithm under the other's name.
  for (auto& wrong : {kj::str("sha256:", digest.hex()), kj::str("sha512:", kEmpty.slice(7)),
                      kj::str("sha512:", digest.hex(), "0"), kj::str("sha512")}) {
    EXPECT_EQ(failureFrom([&]() { Digest::parse(wrong, "test"); }).code, FailureCode::INVALID)
        << wrong.cStr();
  }
}

}  // namespace
}  // namespace bulkhead
