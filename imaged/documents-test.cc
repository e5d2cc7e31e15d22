// SPDX-License-Identifier: Apache-2.0
#include "imaged/documents.h"

#include <capnp/message.h>

#include "imaged/json.h"
#include "imaged/testing/failures.h"
#include "imaged/testing/tar-builder.h"
#include "imaged/testing/test-image.h"
#include "imaged/timestamp.h"

namespace bulkhead {
namespace {

using testing::failureFrom;
using testing::says;
using testing::TarBuilder;
using testing::TestImage;

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DESCRIPTOR(type) "{\"mediaType\":\"" type "\",\"digest\":\"" DIGEST "\",\"size\":1}"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_LAYER "application/vnd.oci.image.layer.v1.tar+gzip"

Document parse(kj::StringPtr text, kj::StringPtr type = "") {
  return parseDocument(text.asBytes(), type, "test");
}

FailureCode codeOf(kj::StringPtr text, kj::StringPtr type = "") {
  return failureFrom([&]() { parse(text, type); }).code;
}

PlatformName platform(kj::StringPtr architecture, kj::StringPtr variant = "") {
  return {kj::str("linux"), kj::str(architecture), kj::str(variant)};
}

TEST(Json, OnlyTheGrammarPasses) {
  const char* wrong[] = {"",
                         "{",
                         "{} x",
                         "{\"a\":1,}",
                         "{'a':1}",
                         "nul",
                         "\"\xff\"",
                         "{\"a\":1,\"a\":2}",
                         "{\"a\":\"\\u0000\"}",
                         "{\"a\":99999999999999999999}",
                         "[1 2]",
                         "// x\n{}"};
  for (const char* text : wrong) {
    auto failed = failureFrom([&]() { parseJson(kj::StringPtr(text).asBytes(), "x", "test"); });
    EXPECT_EQ(failed.code, FailureCode::INVALID) << text;
  }
}

TEST(Json, DepthAndNumberOfValuesAreBounded) {
  kj::Vector<char> deep;
  for (int i = 0; i < 100'000; ++i) deep.add('[');
  EXPECT_EQ(failureFrom([&]() { parseJson(deep.asPtr().asBytes(), "x", "t"); }).code,
            FailureCode::INVALID);
  kj::Vector<char> wide;
  wide.add('[');
  for (int i = 0; i < 300'000; ++i) wide.addAll("0,"_kj);
  wide.addAll("0]"_kj);
  EXPECT_EQ(failureFrom([&]() { parseJson(wide.asPtr().asBytes(), "x", "t"); }).code,
            FailureCode::EXHAUSTED);
}

TEST(Json, NumbersAreWhole) {
  for (auto text : {"{\"n\":-1}", "{\"n\":1.5}", "{\"n\":1e3}", "{\"n\":9223372036854775808}",
                    "{\"n\":\"1\"}"}) {
    auto failed = failureFrom([&]() {
      auto value = parseJson(kj::StringPtr(text).asBytes(), "doc", "test");
      JsonView(value, "doc", "test").required("n").number();
    });
    EXPECT_TRUE(says(failed, "doc.n")) << text;
  }
}

TEST(Documents, AManifestIsRead) {
  TestImage image;
  image.annotations = kj::str("{\"org.bulkhead.image.type\":\"kernel\"}");
  image.layer(TarBuilder().finish()).layer(TarBuilder().finish(), TestImage::Compression::zstd);
  auto text = image.manifest();
  auto document = parse(text, OCI_MANIFEST);
  const auto& manifest = document.get<Manifest>();
  EXPECT_EQ(manifest.layers.size(), 2u);
  EXPECT_EQ(manifest.layers[0].compression, schema::Layer::Compression::GZIP);
  EXPECT_EQ(manifest.layers[1].compression, schema::Layer::Compression::ZSTD);
  EXPECT_EQ(manifest.typeAnnotation, "kernel");
}

TEST(Documents, WhatCouldBeTwoThingsIsRefused) {
  // CVE-2021-41190
  EXPECT_EQ(codeOf("{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}"), FailureCode::INVALID);
  EXPECT_EQ(codeOf("{\"schemaVersion\":2,\"manifests\":[],\"config\":" DESCRIPTOR(OCI_CONFIG) "}"),
            FailureCode::INVALID);
  EXPECT_EQ(codeOf("{\"schemaVersion\":2}"), FailureCode::INVALID);
  EXPECT_EQ(codeOf("{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST "\",\"manifests\":[]}"),
            FailureCode::INVALID);
  EXPECT_EQ(codeOf("{\"schemaVersion\":2,\"manifests\":[]}", OCI_MANIFEST), FailureCode::INVALID);
  EXPECT_EQ(codeOf("{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[]}",
                   "application/vnd.docker.distribution.manifest.list.v2+json"),
            FailureCode::INVALID);
}

TEST(Documents, OldAndForeignFormsAreUnsupported) {
  EXPECT_EQ(codeOf("{\"schemaVersion\":1,\"fsLayers\":[]}"), FailureCode::UNSUPPORTED);
  EXPECT_EQ(codeOf("{}", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
            FailureCode::UNSUPPORTED);
  EXPECT_EQ(
      codeOf("{\"schemaVersion\":2,\"config\":" DESCRIPTOR("application/x-helm") ",\"layers\":[]}"),
      FailureCode::UNSUPPORTED);
  // CVE-2020-15157: a layer that is to be fetched from anywhere.
  EXPECT_EQ(
      codeOf("{\"schemaVersion\":2,\"config\":" DESCRIPTOR(OCI_CONFIG) ",\"layers\":[" DESCRIPTOR(
          "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip") "]}"),
      FailureCode::UNSUPPORTED);
}

TEST(Documents, ArtifactsSayWhatTheyAre) {
  // Image specification 1.1, "Guidelines for Artifact Usage".
  auto artifact = [](kj::StringPtr type, kj::StringPtr config) {
    return kj::str("{\"schemaVersion\":2,", type, "\"config\":", config, ",\"layers\":[]}");
  };
  constexpr auto type = "\"artifactType\":\"application/vnd.example\","_kj;
  constexpr auto empty = DESCRIPTOR("application/vnd.oci.empty.v1+json");
  auto failed = failureFrom([&]() { parse(artifact(type, empty)); });
  EXPECT_EQ(failed.code, FailureCode::UNSUPPORTED);
  EXPECT_TRUE(says(failed, "application/vnd.example"));
  EXPECT_EQ(codeOf(artifact("", empty)), FailureCode::INVALID);
  EXPECT_EQ(codeOf(artifact(type, DESCRIPTOR(OCI_CONFIG))), FailureCode::UNSUPPORTED);
  EXPECT_NO_THROW(parse(artifact("", DESCRIPTOR(OCI_CONFIG))));
}

TEST(Documents, ArtifactsInAnIndexAreNoImages) {
  auto platform_ = "\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}";
  auto entry = [&](kj::StringPtr name, kj::StringPtr more) {
    return kj::str("{\"mediaType\":\"" OCI_MANIFEST "\",\"size\":1,\"digest\":\"",
                   Digest::of(name.asBytes()), "\",", more, platform_, "}");
  };
  auto document = parse(kj::str("{\"schemaVersion\":2,\"manifests\":[",
                                entry("sbom", "\"artifactType\":\"application/vnd.example\","), ",",
                                entry("image", ""), "]}"));
  const auto& chosen = selectEntry(document.get<Index>(), "", platform("amd64"), "test");
  EXPECT_TRUE(chosen.descriptor.digest == Digest::of("image"_kj.asBytes()));
}

TEST(Documents, Sha512IsAsGood) {
  TestImage image;
  image.layer(TarBuilder().finish());
  auto config = Digest::of(image.config().asBytes(), DigestAlgorithm::sha512);
  auto text = std::string(image.manifest().cStr());
  auto old = std::string(Digest::of(image.config().asBytes()).toString().cStr());
  text.replace(text.find(old), old.size(), config.toString().cStr());
  auto manifest = parse(kj::StringPtr(text.c_str()));
  auto parsed = parseImageConfig(image.config().asBytes(), "test");
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::ResolveResult>();
  writeResult(kj::StringPtr(text.c_str()).asBytes(), manifest.get<Manifest>(),
              image.config().asBytes(), parsed, platform("amd64"), "test", out);
  EXPECT_EQ(kj::str(out.getConfigDigest()), config.toString());
  // The store knows a manifest by its SHA-256 whatever it was asked for by.
  EXPECT_EQ(kj::str(out.getManifestDigest()),
            Digest::of(kj::StringPtr(text.c_str()).asBytes()).toString());
}

TEST(Documents, NumbersOfThingsAreBounded) {
  kj::Vector<kj::StringPtr> layers;
  for (int i = 0; i < 201; ++i) layers.add(DESCRIPTOR(OCI_LAYER));
  EXPECT_EQ(
      codeOf(kj::str("{\"schemaVersion\":2,\"config\":" DESCRIPTOR(OCI_CONFIG) ",\"layers\":[",
                     kj::strArray(layers, ","), "]}")),
      FailureCode::INVALID);
}

TEST(Documents, ThePlatformDecides) {
  auto entry = [](kj::StringPtr architecture, kj::StringPtr variant) {
    return kj::str("{\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"",
                   Digest::of(kj::str(architecture, variant).asBytes()),
                   "\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"", architecture,
                   "\",\"variant\":\"", variant, "\"}}");
  };
  auto document = parse(kj::str("{\"schemaVersion\":2,\"manifests\":[", entry("amd64", "v3"), ",",
                                entry("amd64", ""), ",", entry("arm", "v6"), ",",
                                entry("arm", "v7"), ",", entry("unknown", ""), "]}"));
  const auto& index = document.get<Index>();
  auto chosen = [&](const PlatformName& wanted) {
    return selectEntry(index, "", wanted, "test").descriptor.digest;
  };
  EXPECT_TRUE(chosen(platform("amd64")) == Digest::of("amd64"_kj.asBytes()));
  EXPECT_TRUE(chosen(platform("amd64", "v3")) == Digest::of("amd64v3"_kj.asBytes()));
  EXPECT_TRUE(chosen(platform("amd64", "v2")) == Digest::of("amd64"_kj.asBytes()));
  EXPECT_TRUE(chosen(platform("arm")) == Digest::of("armv7"_kj.asBytes()));
  EXPECT_TRUE(chosen(platform("arm", "v6")) == Digest::of("armv6"_kj.asBytes()));
  auto failed = failureFrom([&]() { chosen(platform("s390x")); });
  EXPECT_EQ(failed.code, FailureCode::WRONG_PLATFORM);
  EXPECT_TRUE(says(failed, "linux/amd64"));
}

TEST(Documents, TheConfigurationsPlatformCountsToo) {
  // CVE-2022-24778
  TestImage image;
  image.architecture = "arm64";
  auto manifest = parse(image.manifest());
  auto config = parseImageConfig(image.config().asBytes(), "test");
  capnp::MallocMessageBuilder message;
  auto failed = failureFrom([&]() {
    writeResult(image.manifest().asBytes(), manifest.get<Manifest>(), image.config().asBytes(),
                config, platform("amd64"), "test", message.initRoot<schema::ResolveResult>());
  });
  EXPECT_EQ(failed.code, FailureCode::WRONG_PLATFORM);
}

TEST(Documents, TimestampsAreSeconds) {
  EXPECT_EQ(parseTimestamp("1970-01-01T00:00:00Z").orDefault(-1), 0);
  EXPECT_EQ(parseTimestamp("2026-01-02T03:04:05.678Z").orDefault(-1), 1767323045);
  EXPECT_EQ(parseTimestamp("2026-01-02T04:04:05+01:00").orDefault(-1), 1767323045);
  for (auto text : {"", "2026", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
                    "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00Zx"}) {
    EXPECT_TRUE(parseTimestamp(text) == nullptr) << text;
  }
}

}  // namespace
}  // namespace bulkhead
