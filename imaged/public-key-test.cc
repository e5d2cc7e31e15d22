// SPDX-License-Identifier: Apache-2.0
#include "imaged/public-key.h"

#include <kj/debug.h>
#include <kj/encoding.h>

#include "imaged/testing/certificate.h"
#include "imaged/testing/failures.h"

namespace bulkhead {
namespace {

using testing::failureFrom;
using testing::SigningKey;

constexpr auto kText = "what is signed"_kj;

PublicKey parse(kj::StringPtr pem) { return PublicKey::parse(pem.asBytes(), "test"); }

TEST(PublicKey, ItsOwnersSignaturesAndNoOthers) {
  for (auto kind : {SigningKey::Kind::p256, SigningKey::Kind::ed25519}) {
    auto pair = SigningKey::make(kind);
    auto key = parse(pair.open);
    auto signature = pair.sign(kText.asBytes());
    EXPECT_TRUE(key.verify(kText.asBytes(), signature));
    EXPECT_FALSE(key.verify("something else"_kj.asBytes(), signature));
    EXPECT_FALSE(parse(SigningKey::make(kind).open).verify(kText.asBytes(), signature));
    EXPECT_FALSE(key.verify(kText.asBytes(), nullptr));
    EXPECT_FALSE(key.verify(kText.asBytes(), signature.slice(0, signature.size() - 1)));
    for (size_t i = 0; i < signature.size(); ++i) {
      auto bent = kj::heapArray<kj::byte>(signature.begin(), signature.size());
      bent[i] ^= 1;
      EXPECT_FALSE(key.verify(kText.asBytes(), bent)) << i;
    }
  }
}

TEST(PublicKey, ItsNameIsThatOfItsBytes) {
  auto pair = SigningKey::make(SigningKey::Kind::p256);
  EXPECT_TRUE(parse(pair.open).fingerprint() == parse(pair.open).fingerprint());
  // The lines between those that say what it is are the key.
  kj::StringPtr body = pair.open;
  auto from = KJ_ASSERT_NONNULL(body.findFirst('\n'));
  auto to = KJ_ASSERT_NONNULL(kj::str(body.slice(0, body.size() - 2)).findLast('\n'));
  auto der = kj::decodeBase64(body.slice(from, to));
  EXPECT_TRUE(parse(pair.open).fingerprint() == Digest::of(der));
}

TEST(PublicKey, NothingElseIsOne) {
  auto pair = SigningKey::make(SigningKey::Kind::p256);
  for (auto& wrong :
       {kj::str(""), kj::str("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"),
        kj::str(pair.secret), kj::str(testing::TestCertificate::make("x").certificate),
        kj::str(SigningKey::make(SigningKey::Kind::p384).open), kj::str(kj::repeat('x', 20'000))}) {
    EXPECT_EQ(failureFrom([&]() { parse(wrong); }).code, FailureCode::INVALID) << wrong.cStr();
  }
}

}  // namespace
}  // namespace bulkhead
