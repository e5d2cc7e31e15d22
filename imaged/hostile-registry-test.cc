// SPDX-License-Identifier: Apache-2.0
// The shipped programs against a registry that lies.
#include <ctype.h>
#include <signal.h>
#include <string.h>

#include "imaged/testing/registry-fixture.h"

namespace bulkhead::testing {
namespace {

class HostileRegistryTest : public RegistryTest {
 public:
  ~HostileRegistryTest() noexcept override {}
};

TEST_F(HostileRegistryTest, AnHonestOneIsServed) { expectPull(); }

TEST_F(HostileRegistryTest, R1_ManifestOfAnotherDigest) {
  name = kj::str(registry.host(), "/app@", Digest::of("other"_kj.asBytes()));
  auto body = std::string(image.manifest().cStr());
  registry.on(
      std::string("/v2/app/manifests/") + Digest::of("other"_kj.asBytes()).toString().cStr(),
      [=](const Request&) { return httpAnswer(200, body); });
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, R2_TheDigestHeaderLies) {
  manifestIs(image.manifest().cStr(), std::string("Docker-Content-Digest: ") +
                                          Digest::of(nullptr).toString().cStr() + "\r\n");
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, R1_ConfigurationOfAnotherDigest) {
  registry.on(configPath(), [](const Request&) { return httpAnswer(200, "{}"); });
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, R1_LayerOfAnotherDigest) {
  auto bytes = layerBytes();
  bytes[20] ^= 1;
  layerIs(httpAnswer(200, bytes));
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, R14_RightBytesWrongDiffId) {
  TestImage other;
  other.layer(TarBuilder().file("f", "other").finish());
  // The configuration of one image, the layers of another.
  auto config = std::string(other.config().cStr());
  auto text = std::string(image.manifest().cStr());
  auto digest = std::string(Digest::of(image.config().asBytes()).toString().cStr());
  auto wrong = std::string(Digest::of(other.config().asBytes()).toString().cStr());
  text.replace(text.find(digest), digest.size(), wrong);
  manifestIs(text);
  registry.on("/v2/app/blobs/" + wrong, [=](const Request&) { return httpAnswer(200, config); });
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, R4_AmbiguousAndOldDocuments) {
  manifestIs("{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}");
  EXPECT_EQ(code(), FailureCode::INVALID);
  manifestIs("{\"schemaVersion\":1,\"fsLayers\":[]}");
  EXPECT_EQ(code(), FailureCode::UNSUPPORTED);
  manifestIs(image.manifest().cStr(), "Content-Type: application/vnd.oci.image.index.v1+json\r\n");
  EXPECT_EQ(code(), FailureCode::INVALID);
}

TEST_F(HostileRegistryTest, R9_EndlessDocumentsEnd) {
  manifestIs(std::string(5u << 20, ' '));
  EXPECT_EQ(code(), FailureCode::EXHAUSTED);
  std::string headers;
  for (int i = 0; i < 2000; ++i) headers += "X-Filler: " + std::string(64, 'x') + "\r\n";
  manifestIs("{}", headers);
  EXPECT_EQ(code(), FailureCode::EXHAUSTED);
}

TEST_F(HostileRegistryTest, R13_IndexesThatNestForEverEnd) {
  // Four levels of indexes, each naming the next.
  auto text = std::string(image.manifest().cStr());
  std::string type = "application/vnd.oci.image.manifest.v1+json";
  for (int i = 0; i < 5; ++i) {
    auto digest = std::string(Digest::of(kj::StringPtr(text.c_str()).asBytes()).toString().cStr());
    auto body = text;
    registry.on("/v2/app/manifests/" + digest,
                [=](const Request&) { return httpAnswer(200, body); });
    text = "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" + type + "\",\"digest\":\"" +
           digest + "\",\"size\":" + std::to_string(body.size()) + "}]}";
    type = "application/vnd.oci.image.index.v1+json";
  }
  manifestIs(text);
  EXPECT_EQ(code(), FailureCode::INVALID);
}

TEST_F(HostileRegistryTest, R8_RedirectsAreCountedAndChecked) {
  registry.on("/v2/app/manifests/1", [](const Request&) {
    return httpAnswer(307, "", "Location: /v2/app/manifests/1\r\n");
  });
  EXPECT_EQ(code(), FailureCode::INVALID);
  for (auto target : {"http://169.254.169.254/latest", "http://127.0.0.1:1/x", "file:///etc/passwd",
                      "http://user@localhost/x", "ftp://example.org/"}) {
    auto header = std::string("Location: ") + target + "\r\n";
    registry.on("/v2/app/manifests/1", [=](const Request&) { return httpAnswer(302, "", header); });
    EXPECT_EQ(code(), FailureCode::DENIED) << target;
  }
  for (auto target :
       {"https://169.254.169.254/latest", "https://127.0.0.1/x", "https://[fe80::1]/"}) {
    auto header = std::string("Location: ") + target + "\r\n";
    registry.on("/v2/app/manifests/1", [=](const Request&) { return httpAnswer(302, "", header); });
    EXPECT_EQ(code(), FailureCode::DENIED) << target;
  }
}

TEST_F(HostileRegistryTest, ManyPullsOfOneThingAreOne) {
  kj::Vector<kj::Promise<void>> pulls;
  for (int i = 0; i < 8; ++i) {
    auto request = store().pullRequest();
    request.setReference(name);
    pulls.add(request.send().ignoreResult());
  }
  kj::joinPromises(pulls.releaseAsArray()).wait(io.waitScope);
  EXPECT_EQ(registry.requests().size(), 3u);
  succeeds = true;
}

TEST_F(HostileRegistryTest, R1_ADigestOfTheOtherAlgorithmCountsAsWell) {
  auto digest = digestText(manifestText(), DigestAlgorithm::sha512);
  auto body = manifestText();
  registry.on("/v2/app/manifests/" + digest, [=](const Request&) { return httpAnswer(200, body); });
  name = kj::str(registry.host(), "/app@", digest.c_str());
  expectPull();
  registry.on("/v2/app/manifests/" + digest,
              [=](const Request&) { return httpAnswer(200, body + " "); });
  EXPECT_EQ(code(schema::PullPolicy::ALWAYS), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, R1_LayersMayBeNamedBySha512) {
  auto bytes = layerBytes();
  auto old = digestText(bytes);
  auto digest = digestText(bytes, DigestAlgorithm::sha512);
  manifestIs(replaced(manifestText(), old, digest));
  auto path = "/v2/app/blobs/" + digest;
  registry.on(path, [=](const Request&) { return httpAnswer(200, bytes.substr(1) + "x"); });
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
  registry.on(path, [=](const Request&) { return httpAnswer(200, bytes); });
  expectPull();
}

TEST_F(HostileRegistryTest, R2_TheDigestHeaderMayHaveAnotherAlgorithmAndMustBeTrue) {
  auto header =
      "Docker-Content-Digest: " + digestText("something else", DigestAlgorithm::sha512) + "\r\n";
  manifestIs(manifestText(), header);
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
  // What is no digest says nothing.
  manifestIs(manifestText(), "Docker-Content-Digest: sha256:../../x\r\n");
  expectPull();
  header = "Docker-Content-Digest: " + digestText(manifestText(), DigestAlgorithm::sha512) + "\r\n";
  manifestIs(manifestText(), header);
  expectPull(schema::PullPolicy::ALWAYS);
}

TEST_F(HostileRegistryTest, R3_WhatIsNoDigestNeverBecomesAPath) {
  auto right = digestText(layerBytes());
  auto upper = right;
  for (char& c : upper) c = static_cast<char>(toupper(c));
  for (auto& wrong :
       {std::string("sha256:../../../etc/passwd"), right.substr(0, 70), right + "0", upper,
        "SHA256:" + right.substr(7), "sha512:" + right.substr(7), "md5:" + right.substr(7),
        right + "?x=y", std::string("sha256:"), std::string("..")}) {
    manifestIs(replaced(manifestText(), right, wrong));
    EXPECT_EQ(code(), FailureCode::INVALID) << wrong;
    manifestIs(
        "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image."
        "manifest.v1+json\",\"size\":1,\"digest\":\"" +
        wrong + "\"}]}");
    EXPECT_EQ(code(), FailureCode::INVALID) << wrong;
  }
  EXPECT_EQ(registry.requests().size(), registry.requestsFor(manifestPath()).size());
  name = kj::str(registry.host(), "/app@", right.substr(0, 60).c_str());
  EXPECT_EQ(code(), FailureCode::INVALID);
}

TEST_F(HostileRegistryTest, R4_TheSameBytesAsAnotherTypeTheNextTime) {
  expectPull();
  manifestIs(manifestText(), "Content-Type: application/vnd.oci.image.index.v1+json\r\n");
  EXPECT_EQ(code(schema::PullPolicy::ALWAYS), FailureCode::INVALID);
  manifestIs(manifestText(),
             "Content-Type: application/vnd.docker.distribution.manifest.v2+json\r\n");
  EXPECT_EQ(code(schema::PullPolicy::ALWAYS), FailureCode::INVALID);
}

TEST_F(HostileRegistryTest, R4_ArtifactsAreNamedForWhatTheyAre) {
  auto text = replaced(manifestText(), "application/vnd.oci.image.config.v1+json",
                       "application/vnd.oci.empty.v1+json");
  manifestIs(text);
  EXPECT_EQ(code(), FailureCode::INVALID);
  manifestIs(replaced(text, "{\"schemaVersion\":2,",
                      "{\"schemaVersion\":2,\"artifactType\":\"application/vnd.example.sbom\","));
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::UNSUPPORTED);
  EXPECT_TRUE(says(failed, "application/vnd.example.sbom"));
}

TEST_F(HostileRegistryTest, R7_ForeignLayersAreNotFetched) {
  ScriptedRegistry elsewhere;
  elsewhere.on("/layer", [](const Request&) {
    return httpAnswer(401, "", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  auto urls = std::string("\"urls\":[\"http://") + elsewhere.host().cStr() + "/layer\"],";
  auto type = std::string("\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",");
  // A layer of a type that means "elsewhere" is not served at all.
  for (auto foreign : {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                       "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}) {
    manifestIs(
        replaced(manifestText(), type, std::string("\"mediaType\":\"") + foreign + "\"," + urls));
    auto failed = pullFailureAs("user", "password");
    EXPECT_EQ(failed.code, FailureCode::UNSUPPORTED) << foreign;
  }
  // Of an ordinary one the addresses mean nothing.
  manifestIs(replaced(manifestText(), type, type + urls));
  expectPull();
  EXPECT_EQ(elsewhere.requests().size(), 0u);
}

TEST_F(HostileRegistryTest, R8_AnInnocentNameThatMeansTheMachineItself) {
  // Such names are the machine's own by RFC 6761; what counts is the address, not the name.
  auto header = std::string("Location: https://rebind.localhost:") +
                std::to_string(registry.portNumber()) + "/x\r\n";
  registry.on(manifestPath(), [=](const Request&) { return httpAnswer(302, "", header); });
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::DENIED);
  EXPECT_TRUE(says(failed, "is one that no registry may have"));
}

TEST_F(HostileRegistryTest, R9_FourMebibytesOfManifestAreServed) {
  manifestIs(manifestText() + std::string((4u << 20) - manifestText().size(), ' '));
  expectPull();
}

TEST_F(HostileRegistryTest, R9_LargeConfigurationsEnd) {
  // Announced, or only sent.
  auto size = ",\"size\":" + std::to_string(image.config().size());
  manifestIs(replaced(manifestText(), size, ",\"size\":9000000"));
  EXPECT_EQ(code(), FailureCode::INVALID);
  manifestIs(manifestText());
  registry.on(configPath(),
              [](const Request&) { return httpAnswer(200, std::string(9u << 20, ' ')); });
  EXPECT_EQ(code(), FailureCode::EXHAUSTED);
}

TEST_F(HostileRegistryTest, R9_ADocumentThatNeverEnds) {
  registry.converse(manifestPath(), [](const Request&, Client& client) {
    client.send("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (client.send("10000\r\n" + std::string(65536, ' ') + "\r\n")) {
    }
  });
  EXPECT_EQ(code(), FailureCode::EXHAUSTED);
  // A number is not believed, and nothing is set aside for it.
  registry.on(manifestPath(), [](const Request&) {
    return std::string("HTTP/1.1 200 x\r\nContent-Length: 9223372036854775807\r\n\r\n");
  });
  EXPECT_EQ(code(), FailureCode::UNREACHABLE);
}

TEST_F(HostileRegistryTest, R12_BombsEndAtTheLimit) {
  configure("", "");
  stopImaged(SIGTERM);
  startImaged(kj::str("max-image-bytes = 1048576\n[registry.\"", registry.host(),
                      "\"]\ninsecure-http = true\n"));
  for (auto form : {TestImage::Compression::gzip, TestImage::Compression::zstd}) {
    TestImage bomb;
    bomb.layer(
        TarBuilder().file("zeros", kj::heapString(std::string(64u << 20, 'z').c_str())).finish(),
        form);
    registry.serve(bomb, "app", "1");
    EXPECT_EQ(code(), FailureCode::EXHAUSTED);
  }
}

TEST_F(HostileRegistryTest, R13_MoreLayersThanAnybodyHas) {
  auto text = manifestText();
  auto from = text.find("\"layers\":[") + 10;
  auto one = text.substr(from, text.find(']', from) - from);
  std::string many = one;
  // 4 MiB of them, which are 20 000; a hundred thousand do not fit into a manifest.
  while (many.size() + one.size() + 1 + text.size() < (4u << 20)) many += "," + one;
  manifestIs(replaced(text, one, many));
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::INVALID);
  EXPECT_TRUE(says(failed, "layers"));
}

TEST_F(HostileRegistryTest, R14_WhatFollowsTheStreamIsPartOfIt) {
  // A second member with a second archive: the digest is right, the uncompressed one is not.
  auto more = textOf(gzip(TarBuilder().file("g", "smuggled").finish()));
  for (auto& tail : {more, std::string("garbage")}) {
    auto bytes = layerBytes() + tail;
    auto text = replaced(manifestText(), digestText(layerBytes()), digestText(bytes));
    manifestIs(replaced(text, "\"size\":" + std::to_string(layerBytes().size()) + "}]",
                        "\"size\":" + std::to_string(bytes.size()) + "}]"));
    registry.on("/v2/app/blobs/" + digestText(bytes),
                [=](const Request&) { return httpAnswer(200, bytes); });
    auto failed = code();
    EXPECT_TRUE(failed == FailureCode::DIGEST_MISMATCH || failed == FailureCode::INVALID)
        << codeName(failed).cStr();
  }
}

TEST_F(HostileRegistryTest, R14_DiffIdsMayBeNamedBySha512AndAreCheckedAsWell) {
  auto tar = textOf(TarBuilder().file("f", "content").finish());
  auto serveWith = [&](const std::string& diffId) {
    auto config = replaced(image.config().cStr(), digestText(tar), diffId);
    registry.on("/v2/app/blobs/" + digestText(config),
                [=](const Request&) { return httpAnswer(200, config); });
    auto text = replaced(manifestText(), digestText(image.config().cStr()), digestText(config));
    manifestIs(replaced(text, "\"size\":" + std::to_string(image.config().size()),
                        "\"size\":" + std::to_string(config.size())));
  };
  serveWith(digestText(tar + "x", DigestAlgorithm::sha512));
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
  serveWith(digestText(tar, DigestAlgorithm::sha512));
  expectPull();
}

TEST_F(HostileRegistryTest, R15_TheIndexSaysOnePlatformAndTheImageAnother) {
  image.architecture = "riscv64";
  registry.serve(image, "app", "other");
  auto entry = [&](const char* architecture) {
    return "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/"
           "vnd.oci.image.manifest."
           "v1+json\",\"digest\":\"" +
           digestText(manifestText()) + "\",\"size\":" + std::to_string(manifestText().size()) +
           ",\"platform\":{\"os\":\"linux\",\"architecture\":\"" + architecture + "\"}}]}";
  };
  manifestIs(entry("amd64"));
  EXPECT_EQ(code(), FailureCode::WRONG_PLATFORM);
  manifestIs(entry("riscv64"));
  EXPECT_EQ(code(), FailureCode::WRONG_PLATFORM);
}

TEST_F(HostileRegistryTest, R16_WhatIsHereAlreadyIsNotGivenToWhoMayNotHaveIt) {
  expectPull();
  // The same bytes in a repository that wants to be asked.
  name = kj::str(registry.host(), "/private:1");
  registry.on("/v2/private/manifests/1", [](const Request&) {
    return httpAnswer(401, "", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  EXPECT_EQ(code(), FailureCode::UNAUTHENTICATED);
}

TEST_F(HostileRegistryTest, R18_NumbersAndTextsThatAreNone) {
  auto size = "\"size\":" + std::to_string(layerBytes().size());
  for (auto wrong :
       {"\"size\":-1", "\"size\":9223372036854775808", "\"size\":1e3", "\"size\":\"1\"",
        "\"size\":1,\"size\":2", "\"size\":1,\"x\":\"\xff\"", "\"size\":1,\"x\":\"\\u0000\""}) {
    manifestIs(replaced(manifestText(), size, wrong));
    EXPECT_EQ(code(), FailureCode::INVALID) << wrong;
  }
  manifestIs(std::string(100'000, '['));
  EXPECT_EQ(code(), FailureCode::INVALID);
}

TEST_F(HostileRegistryTest, R19_NothingThatAnImageSaysGrantsAnything) {
  image.annotations = kj::str(
      "{\"org.opencontainers.image.ref.name\":\"docker.io/library/debian:13\","
      "\"org.opencontainers.image.base.name\":\"docker.io/library/debian:13\","
      "\"io.kubernetes.cri-o.Devices\":\"/dev/mem\",\"cdi.k8s.io/x\":\"vendor.example/gpu=all\","
      "\"org.criu.checkpoint.container.name\":\"other\"}");
  image.process = kj::str(
      "{\"Labels\":{\"io.containers.capabilities\":\"SYS_ADMIN\",\"org.bulkhead.image.type\":\"\"},"
      "\"Volumes\":{\"/etc\":{}},\"Privileged\":true}");
  registry.serve(image, "app", "1");
  expectPull();
  auto list = store().listRequest().send().wait(io.waitScope);
  ASSERT_EQ(list.getImages().size(), 1u);
  EXPECT_TRUE(list.getImages()[0].getReference().startsWith(name));
  EXPECT_EQ(list.getImages()[0].getType(), schema::ImageType::CONTAINER);
  EXPECT_EQ(pullFailure("docker.io/library/debian:13", schema::PullPolicy::NEVER).code,
            FailureCode::NOT_FOUND);
}

}  // namespace
}  // namespace bulkhead::testing
