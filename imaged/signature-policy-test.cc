// SPDX-License-Identifier: Apache-2.0
// Whose signature an image must carry before it is unpacked.
#include <kj/encoding.h>

#include "imaged/testing/registry-fixture.h"

namespace bulkhead::testing {
namespace {

class SignaturePolicyTest : public RegistryTest {
 public:
  ~SignaturePolicyTest() noexcept override {}

 protected:
  SigningKey key = SigningKey::make(SigningKey::Kind::p256);

  kj::String repository() const { return kj::str(registry.host(), "/app"); }

  // The policy for this registry; the key's public half is in a file.
  void require(const SigningKey& wanted, kj::StringPtr more = "") {
    configure("", kj::str("[signature.\"", registry.host(), "\"]\npolicy = \"sigstoreSigned\"\n",
                          "key-files = [\"", secretFile("key.pub", wanted.open), "\"]\n", more));
  }

  static std::string payload(const std::string& digest, kj::StringPtr repository,
                             kj::StringPtr type = "cosign container image signature") {
    return kj::str("{\"critical\":{\"identity\":{\"docker-reference\":\"", repository,
                   "\"},\"image\":{\"docker-manifest-digest\":\"", digest.c_str(),
                   "\"},\"type\":\"", type, "\"},\"optional\":null}")
        .cStr();
  }

  struct Signed {
    std::string payload;
    std::string signature;  // base64
  };
  static Signed sign(const SigningKey& by, std::string payload) {
    auto bytes = kj::arrayPtr(payload.data(), payload.size()).asBytes();
    return {payload, kj::encodeBase64(by.sign(bytes)).cStr()};
  }
  Signed rightlySigned() { return sign(key, payload(digestText(manifestText()), repository())); }

  // Serves the signatures of the document with that digest.
  void attach(const std::string& digest, std::vector<Signed> entries) {
    std::string layers;
    for (const auto& entry : entries) {
      if (!layers.empty()) layers += ",";
      layers +=
          "{\"mediaType\":\"application/vnd.dev.cosign.simplesigning.v1+json\",\"digest\":\"" +
          digestText(entry.payload) + "\",\"size\":" + std::to_string(entry.payload.size()) +
          ",\"annotations\":{\"dev.cosignproject.cosign/signature\":\"" + entry.signature + "\"}}";
      auto body = entry.payload;
      registry.on("/v2/app/blobs/" + digestText(body),
                  [=](const Request&) { return httpAnswer(200, body); });
    }
    auto body =
        "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
        "\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"" +
        digestText("{}") + "\",\"size\":2},\"layers\":[" + layers + "]}";
    registry.on(signaturePath(digest), [=](const Request&) { return httpAnswer(200, body); });
  }
  static std::string signaturePath(const std::string& digest) {
    return "/v2/app/manifests/sha256-" + digest.substr(7) + ".sig";
  }
  void attach(Signed entry) { attach(digestText(manifestText()), {std::move(entry)}); }

  void expectDenied(const char* why) {
    auto failed = pullFailure(name);
    EXPECT_EQ(failed.code, FailureCode::DENIED) << failed.describe().cStr();
    EXPECT_TRUE(says(failed, why)) << failed.describe().cStr();
    // Nothing of it was fetched, let alone unpacked.
    EXPECT_EQ(registry.requestsFor(layerPath()).size(), 0u);
  }
};

TEST_F(SignaturePolicyTest, TheRightKey) {
  attach(rightlySigned());
  require(key);
  expectPull();
  // And once more from the store, which remembers.
  expectPull(schema::PullPolicy::NEVER);
}

TEST_F(SignaturePolicyTest, TheRightKeyOfTheOtherKind) {
  key = SigningKey::make(SigningKey::Kind::ed25519);
  attach(rightlySigned());
  require(key);
  expectPull();
}

TEST_F(SignaturePolicyTest, OneOfSeveralKeysAndOneOfSeveralSignatures) {
  auto other = SigningKey::make(SigningKey::Kind::ed25519);
  auto stranger = SigningKey::make(SigningKey::Kind::p256);
  auto text = payload(digestText(manifestText()), repository());
  attach(digestText(manifestText()), {sign(stranger, text), sign(other, text)});
  configure("", kj::str("[signature.default]\npolicy = \"sigstoreSigned\"\nkey-files = [\"",
                        secretFile("a.pub", key.open), "\", \"", secretFile("b.pub", other.open),
                        "\"]\n"));
  expectPull();
}

TEST_F(SignaturePolicyTest, TheSignedIndexLeadsToTheManifest) {
  auto index =
      "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest."
      "v1+json\",\"digest\":\"" +
      digestText(manifestText()) + "\",\"size\":" + std::to_string(manifestText().size()) + "}]}";
  manifestIs(index);
  attach(digestText(index), {sign(key, payload(digestText(index), repository()))});
  require(key);
  expectPull();
}

TEST_F(SignaturePolicyTest, AWrongKey) {
  attach(rightlySigned());
  require(SigningKey::make(SigningKey::Kind::p256));
  expectDenied("not by a key of the policy");
}

TEST_F(SignaturePolicyTest, ATamperedPayload) {
  auto entry = rightlySigned();
  entry.payload = replaced(entry.payload, "\"optional\":null", "\"optional\":{} ");
  attach(entry);
  require(key);
  expectDenied("not by a key of the policy");
}

TEST_F(SignaturePolicyTest, APayloadThatIsNotTheOneOfItsDigest) {
  auto entry = rightlySigned();
  attach(entry);
  registry.on("/v2/app/blobs/" + digestText(entry.payload),
              [=](const Request&) { return httpAnswer(200, entry.payload + " "); });
  require(key);
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(SignaturePolicyTest, AnotherDigest) {
  auto other = digestText("another image");
  attach(sign(key, payload(other, repository())));
  require(key);
  expectDenied(other.c_str());
}

TEST_F(SignaturePolicyTest, AnotherRepository) {
  attach(sign(key, payload(digestText(manifestText()), kj::str(registry.host(), "/other"))));
  require(key);
  expectDenied("/other");
}

TEST_F(SignaturePolicyTest, AnotherRepositoryThatThePolicyNames) {
  attach(sign(key, payload(digestText(manifestText()), "origin.example/team/app:7")));
  require(key, "signed-identity = \"origin.example/team/app\"\n");
  expectPull();
}

TEST_F(SignaturePolicyTest, ASignatureOfAnotherType) {
  attach(
      sign(key, payload(digestText(manifestText()), repository(), "atomic container signature")));
  require(key);
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::INVALID);
  EXPECT_TRUE(says(failed, "type"));
}

TEST_F(SignaturePolicyTest, NoSignature) {
  require(key);
  expectDenied("there is none of sha256:");
}

TEST_F(SignaturePolicyTest, NoSignatureInTheManifestOfThem) {
  attach(digestText(manifestText()), {});
  require(key);
  expectDenied("there is none of sha256:");
}

TEST_F(SignaturePolicyTest, MoreSignaturesThanAreLookedAt) {
  std::vector<Signed> many(40, rightlySigned());
  attach(digestText(manifestText()), many);
  require(key);
  EXPECT_EQ(code(), FailureCode::EXHAUSTED);
}

TEST_F(SignaturePolicyTest, ARegistryThatIsBusyIsNotOneWithoutSignatures) {
  registry.on(signaturePath(digestText(manifestText())),
              [](const Request&) { return httpAnswer(503, "", "Retry-After: 0\r\n"); });
  require(key);
  EXPECT_EQ(code(), FailureCode::UNREACHABLE);
}

TEST_F(SignaturePolicyTest, RejectedRepositoriesAreNotEvenAsked) {
  configure("", kj::str("[signature.\"", registry.host(), "\"]\npolicy = \"reject\"\n"));
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::DENIED);
  EXPECT_TRUE(says(failed, "policy rejects"));
  EXPECT_EQ(registry.requests().size(), 0u);
}

TEST_F(SignaturePolicyTest, TheLongestScopeCounts) {
  configure("", kj::str("[signature.default]\npolicy = \"reject\"\n[signature.\"", registry.host(),
                        "/app\"]\npolicy = \"insecureAcceptAnything\"\n"));
  expectPull();
  // "app" is no part of "application".
  registry.serve(image, "application", "1");
  name = kj::str(registry.host(), "/application:1");
  EXPECT_EQ(code(), FailureCode::DENIED);
}

TEST_F(SignaturePolicyTest, WhatIsHereMustMeetThePolicyOfToday) {
  expectPull();
  require(key);
  EXPECT_EQ(code(), FailureCode::DENIED);
  EXPECT_EQ(code(schema::PullPolicy::NEVER), FailureCode::NOT_FOUND);
  attach(rightlySigned());
  expectPull();
}

}  // namespace
}  // namespace bulkhead::testing
