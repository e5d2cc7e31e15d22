// SPDX-License-Identifier: Apache-2.0
// The shipped programs against a registry that lies.
#include <string.h>

#include "imaged/testing/failures.h"
#include "imaged/testing/imaged-fixture.h"
#include "imaged/testing/scripted-registry.h"
#include "imaged/testing/tar-builder.h"

namespace bulkhead::testing {
namespace {

using Request = ScriptedRegistry::Request;

class HostileRegistryTest : public ImagedTest {
 public:
  ~HostileRegistryTest() noexcept override {}

 protected:
  ScriptedRegistry registry;
  TestImage image;
  kj::String name;

  void SetUp() override {
    image.layer(TarBuilder().file("f", "content").finish());
    registry.serve(image, "app", "1");
    name = kj::str(registry.host(), "/app:1");
    startImaged(kj::str("[registry.\"", registry.host(), "\"]\ninsecure-http = true\n"));
  }

  void TearDown() override {
    // Whatever happened, nothing of it may be visible.
    auto images = store().listRequest().send().wait(io.waitScope);
    if (!succeeds) EXPECT_EQ(images.getImages().size(), 0u);
    ImagedTest::TearDown();
  }

  bool succeeds = false;

  void expectPull() {
    succeeds = true;
    EXPECT_EQ(readRoot(pull(name), "f"), "content");
  }

  std::string layerPath() const {
    auto text = std::string(image.manifest().cStr());
    auto at = text.rfind("sha256:");
    return "/v2/app/blobs/" + text.substr(at, 71);
  }
  std::string configPath() const {
    return std::string("/v2/app/blobs/") + Digest::of(image.config().asBytes()).toString().cStr();
  }
  std::string layerBytes() const {
    auto blobs = image.blobs();
    return textOf(KJ_ASSERT_NONNULL(blobs.find(kj::StringPtr(layerPath().c_str() + 14))));
  }
  void manifestIs(std::string body, std::string headers = "") {
    registry.on("/v2/app/manifests/1",
                [=](const Request&) { return httpAnswer(200, body, headers); });
  }
  void layerIs(std::string answer) {
    registry.on(layerPath(), [=](const Request&) { return answer; });
  }
  FailureCode code() { return pullFailure(name).code; }
};

TEST_F(HostileRegistryTest, AnHonestOneIsServed) { expectPull(); }

TEST_F(HostileRegistryTest, ManifestOfAnotherDigest) {
  name = kj::str(registry.host(), "/app@", Digest::of("other"_kj.asBytes()));
  auto body = std::string(image.manifest().cStr());
  registry.on(
      std::string("/v2/app/manifests/") + Digest::of("other"_kj.asBytes()).toString().cStr(),
      [=](const Request&) { return httpAnswer(200, body); });
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, TheDigestHeaderLies) {
  manifestIs(image.manifest().cStr(), std::string("Docker-Content-Digest: ") +
                                          Digest::of(nullptr).toString().cStr() + "\r\n");
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, ConfigurationOfAnotherDigest) {
  registry.on(configPath(), [](const Request&) { return httpAnswer(200, "{}"); });
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, LayerOfAnotherDigest) {
  auto bytes = layerBytes();
  bytes[20] ^= 1;
  layerIs(httpAnswer(200, bytes));
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, LayerShorterThanAnnounced) {
  layerIs(httpAnswer(200, layerBytes().substr(1)));
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, LayerLongerThanAnnounced) {
  layerIs(httpAnswer(200, layerBytes() + "x"));
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileRegistryTest, RightBytesWrongDiffId) {
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

TEST_F(HostileRegistryTest, ACutConnectionIsResumed) {
  auto bytes = layerBytes();
  auto tries = std::make_shared<int>(0);
  registry.on(layerPath(), [=](const Request& request) {
    if ((*tries)++ == 0) {
      return "HTTP/1.1 200 x\r\nContent-Length: " + std::to_string(bytes.size()) + "\r\n\r\n" +
             bytes.substr(0, 40);
    }
    if (!request.has("Range: bytes=40-")) return httpAnswer(500, "");
    return httpAnswer(206, bytes.substr(40),
                      "Content-Range: bytes 40-" + std::to_string(bytes.size() - 1) + "/" +
                          std::to_string(bytes.size()) + "\r\n");
  });
  expectPull();
}

TEST_F(HostileRegistryTest, AResumeThatIsAnsweredInFullStartsOver) {
  auto bytes = layerBytes();
  auto tries = std::make_shared<int>(0);
  registry.on(layerPath(), [=](const Request&) {
    if ((*tries)++ > 0) return httpAnswer(200, bytes);
    return "HTTP/1.1 200 x\r\nContent-Length: " + std::to_string(bytes.size()) + "\r\n\r\nzzz";
  });
  expectPull();
}

TEST_F(HostileRegistryTest, AResumeWithAnotherRangeIsRefused) {
  auto bytes = layerBytes();
  auto tries = std::make_shared<int>(0);
  registry.on(layerPath(), [=](const Request&) {
    if ((*tries)++ > 0) return httpAnswer(206, bytes, "Content-Range: bytes 0-9/10\r\n");
    return "HTTP/1.1 200 x\r\nContent-Length: " + std::to_string(bytes.size()) + "\r\n\r\nzzz";
  });
  pullFailure(name);
}

TEST_F(HostileRegistryTest, ABusyRegistryIsAskedAgain) {
  auto body = std::string(image.manifest().cStr());
  auto tries = std::make_shared<int>(0);
  registry.on("/v2/app/manifests/1", [=](const Request&) {
    return (*tries)++ < 2 ? httpAnswer(*tries == 1 ? 503 : 429, "", "Retry-After: 0\r\n")
                          : httpAnswer(200, body);
  });
  expectPull();
}

TEST_F(HostileRegistryTest, ARegistryThatStaysBrokenIsUnreachable) {
  registry.on("/v2/app/manifests/1", [](const Request&) { return httpAnswer(503, ""); });
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::UNREACHABLE);
  EXPECT_TRUE(says(failed, "503"));
}

TEST_F(HostileRegistryTest, NobodyListens) {
  name = kj::str("localhost:1/app:1");
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::UNREACHABLE);
  EXPECT_TRUE(says(failed, "localhost:1"));
}

TEST_F(HostileRegistryTest, AmbiguousAndOldDocuments) {
  manifestIs("{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}");
  EXPECT_EQ(code(), FailureCode::INVALID);
  manifestIs("{\"schemaVersion\":1,\"fsLayers\":[]}");
  EXPECT_EQ(code(), FailureCode::UNSUPPORTED);
  manifestIs(image.manifest().cStr(), "Content-Type: application/vnd.oci.image.index.v1+json\r\n");
  EXPECT_EQ(code(), FailureCode::INVALID);
}

TEST_F(HostileRegistryTest, EndlessDocumentsEnd) {
  manifestIs(std::string(5u << 20, ' '));
  EXPECT_EQ(code(), FailureCode::EXHAUSTED);
  std::string headers;
  for (int i = 0; i < 2000; ++i) headers += "X-Filler: " + std::string(64, 'x') + "\r\n";
  manifestIs("{}", headers);
  EXPECT_EQ(code(), FailureCode::EXHAUSTED);
}

TEST_F(HostileRegistryTest, IndexesThatNestForEverEnd) {
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

TEST_F(HostileRegistryTest, RedirectsAreCountedAndChecked) {
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

TEST_F(HostileRegistryTest, TokensAreFetchedAndStayAtHome) {
  auto body = std::string(image.manifest().cStr());
  auto realm = std::string("http://") + registry.host().cStr() + "/token";
  registry.on("/v2/app/manifests/1", [=](const Request& request) {
    if (request.has("Authorization: Bearer abc")) return httpAnswer(200, body);
    return httpAnswer(401, "",
                      "WWW-Authenticate: Bearer realm=\"" + realm + "\",service=\"s&x\"\r\n");
  });
  registry.on("/token", [](const Request&) { return httpAnswer(200, "{\"token\":\"abc\"}"); });
  expectPull();
  for (const auto& request : registry.requests()) {
    if (request.path.rfind("/token", 0) != 0) continue;
    EXPECT_NE(request.path.find("scope=repository%3Aapp%3Apull"), std::string::npos);
    EXPECT_NE(request.path.find("service=s%26x"), std::string::npos);
  }
}

TEST_F(HostileRegistryTest, TokensFromStrangePlacesAreRefused) {
  for (auto realm : {"http://169.254.169.254/token", "http://example.org/token",
                     "https://user:x@example.org/token", "https://127.0.0.1/token",
                     "https://[fd00:ec2::254]/token", "file:///etc/passwd"}) {
    auto header = std::string("WWW-Authenticate: Bearer realm=\"") + realm + "\"\r\n";
    registry.on("/v2/app/manifests/1", [=](const Request&) { return httpAnswer(401, "", header); });
    EXPECT_EQ(code(), FailureCode::DENIED) << realm;
  }
}

TEST_F(HostileRegistryTest, WithoutCredentialsItIsUnauthenticated) {
  registry.on("/v2/app/manifests/1", [](const Request&) {
    return httpAnswer(401, "", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  EXPECT_EQ(code(), FailureCode::UNAUTHENTICATED);
}

TEST_F(HostileRegistryTest, ThePasswordGoesToTheRegistryOnly) {
  auto body = std::string(image.manifest().cStr());
  registry.on("/v2/app/manifests/1", [=](const Request& request) {
    if (request.has("Authorization: Basic dTpw")) return httpAnswer(200, body);
    return httpAnswer(401, "", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  auto request = store().pullRequest();
  request.setReference(name);
  auto password = request.initOptions().initCredentials().initPassword();
  password.setUser("u");
  password.setPassword("p");
  request.send().wait(io.waitScope);

  registry.on("/v2/app/manifests/1", [](const Request&) {
    return httpAnswer(401, "", "WWW-Authenticate: Bearer realm=\"https://example.org/token\"\r\n");
  });
  auto again = store().pullRequest();
  again.setReference(name);
  auto options = again.initOptions();
  options.setPolicy(schema::PullPolicy::ALWAYS);
  auto second = options.initCredentials().initPassword();
  second.setUser("u");
  second.setPassword("p");
  auto failed = failureFrom([&]() { again.send().wait(io.waitScope); });
  EXPECT_EQ(failed.code, FailureCode::DENIED);
  EXPECT_TRUE(says(failed, "example.org"));
  succeeds = true;
}

TEST_F(HostileRegistryTest, PlainHttpOnlyWhereItIsConfigured) {
  // Another name of the same machine, about which nothing is said.
  name = kj::str("127.0.0.1:", registry.host().slice(10), "/app:1");
  EXPECT_EQ(code(), FailureCode::UNREACHABLE);
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

}  // namespace
}  // namespace bulkhead::testing
