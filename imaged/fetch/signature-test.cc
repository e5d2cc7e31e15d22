// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/signature.h"

#include "imaged/testing/failures.h"

namespace bulkhead {
namespace {

using testing::failureFrom;

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define KIND "cosign container image signature"

kj::String payload(kj::StringPtr reference, kj::StringPtr digest = DIGEST,
                   kj::StringPtr type = KIND) {
  return kj::str("{\"critical\":{\"identity\":{\"docker-reference\":\"", reference,
                 "\"},\"image\":{\"docker-manifest-digest\":\"", digest, "\"},\"type\":\"", type,
                 "\"}}");
}

kj::String manifest(kj::StringPtr layer) {
  return kj::str("{\"schemaVersion\":2,\"layers\":[", layer, "]}");
}

kj::String layer(kj::StringPtr signature, uint64_t size = 10,
                 kj::StringPtr type = "application/vnd.dev.cosign.simplesigning.v1+json") {
  return kj::str("{\"mediaType\":\"", type, "\",\"digest\":\"" DIGEST "\",\"size\":", size,
                 ",\"annotations\":{\"dev.cosignproject.cosign/signature\":\"", signature, "\"}}");
}

FailureCode manifestFailure(kj::StringPtr text) {
  return failureFrom([&]() { parseSignatures(text.asBytes(), "test"); }).code;
}

TEST(Signature, TheTagIsTheDigest) {
  auto digest = Digest::of(nullptr);
  EXPECT_EQ(signatureTag(digest), kj::str("sha256-", digest.hex(), ".sig"));
}

TEST(Signature, WhatAPayloadClaims) {
  auto claim = parsePayload(payload("r.example/team/app").asBytes(), "test");
  EXPECT_EQ(claim.repository, "r.example/team/app");
  EXPECT_EQ(claim.manifest.toString(), DIGEST);
  // A tag says nothing, and Docker's registry has one name.
  EXPECT_EQ(parsePayload(payload("r.example/app:1").asBytes(), "test").repository, "r.example/app");
  EXPECT_EQ(parsePayload(payload("index.docker.io/library/debian").asBytes(), "test").repository,
            "docker.io/library/debian");
}

TEST(Signature, PayloadsThatAreNone) {
  for (auto& wrong :
       {kj::str(""), kj::str("{}"), kj::str("{\"critical\":{}}"), payload("r.example/app", "x"),
        payload("R example"), payload("oci:/srv/layout"),
        payload("r.example/app", DIGEST, "atomic container signature"),
        kj::str(payload("r.example/app"), " x")}) {
    EXPECT_EQ(failureFrom([&]() { parsePayload(wrong.asBytes(), "test"); }).code,
              FailureCode::INVALID)
        << wrong.cStr();
  }
}

TEST(Signature, WhatAManifestNames) {
  auto entries = parseSignatures(
      manifest(kj::str(layer("YWJj"), ",", layer("eA==", 1, "text/plain"))).asBytes(), "test");
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].payload.toString(), DIGEST);
  EXPECT_EQ(entries[0].size, 10u);
  EXPECT_EQ(kj::str(entries[0].signature.asChars()), "abc");
}

TEST(Signature, ManifestsThatAreNone) {
  EXPECT_EQ(manifestFailure("{}"), FailureCode::INVALID);
  EXPECT_EQ(manifestFailure("{\"schemaVersion\":1,\"layers\":[]}"), FailureCode::INVALID);
  EXPECT_EQ(manifestFailure("{\"schemaVersion\":2,\"layers\":[],\"manifests\":[]}"),
            FailureCode::INVALID);
  EXPECT_EQ(manifestFailure(manifest(layer("%"))), FailureCode::INVALID);
  EXPECT_EQ(manifestFailure(manifest(layer(""))), FailureCode::INVALID);
  EXPECT_EQ(manifestFailure(manifest(layer("YWJj", 1u << 20))), FailureCode::INVALID);
  kj::Vector<kj::String> many;
  for (int i = 0; i < 33; ++i) many.add(layer("YWJj"));
  EXPECT_EQ(manifestFailure(manifest(kj::strArray(many, ","))), FailureCode::EXHAUSTED);
}

}  // namespace
}  // namespace bulkhead
