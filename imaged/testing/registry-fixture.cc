// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/registry-fixture.h"

#include <signal.h>
#include <sys/stat.h>

#include <kj/debug.h>

namespace bulkhead::testing {

void RegistryTest::SetUp() {
  image.layer(TarBuilder().file("f", "content").finish());
  registry.serve(image, "app", "1");
  name = kj::str(registry.host(), "/app:1");
  configure("");
}

void RegistryTest::TearDown() {
  auto images = store().listRequest().send().wait(io.waitScope);
  if (!succeeds) EXPECT_EQ(images.getImages().size(), 0u);
  ImagedTest::TearDown();
}

void RegistryTest::configure(kj::StringPtr of, kj::StringPtr more) {
  if (isRunning()) stopImaged(SIGTERM);
  startImaged(
      kj::str("[registry.\"", registry.host(), "\"]\ninsecure-http = true\n", of, "\n", more));
}

kj::String RegistryTest::secretFile(kj::StringPtr file, kj::StringPtr content) {
  auto path = directory.path(file);
  writeFile(path, content.asBytes());
  KJ_SYSCALL(chmod(path.cStr(), 0600));
  return path;
}

void RegistryTest::expectPull(schema::PullPolicy policy) {
  succeeds = true;
  EXPECT_EQ(readRoot(pull(name, policy), "f"), "content");
}

FailureCode RegistryTest::code(schema::PullPolicy policy) { return pullFailure(name, policy).code; }

Failure RegistryTest::pullFailureAs(kj::StringPtr user, kj::StringPtr password) {
  auto request = store().pullRequest();
  request.setReference(name);
  auto options = request.initOptions();
  options.setPolicy(schema::PullPolicy::ALWAYS);
  auto given = options.initCredentials().initPassword();
  given.setUser(user);
  given.setPassword(password);
  return failureFrom([&]() { request.send().wait(io.waitScope); });
}

std::string RegistryTest::layerPath() const {
  auto text = manifestText();
  return "/v2/app/blobs/" + text.substr(text.rfind("sha256:"), 71);
}

std::string RegistryTest::configPath() const {
  return "/v2/app/blobs/" + digestText(image.config().cStr());
}

std::string RegistryTest::layerBytes() const {
  auto blobs = image.blobs();
  return textOf(KJ_ASSERT_NONNULL(blobs.find(kj::StringPtr(layerPath().c_str() + 14))));
}

void RegistryTest::manifestIs(std::string body, std::string headers) {
  registry.on(manifestPath(), [=](const Request&) { return httpAnswer(200, body, headers); });
}

void RegistryTest::layerIs(std::string answer) {
  registry.on(layerPath(), [=](const Request&) { return answer; });
}

std::string digestText(const std::string& bytes, DigestAlgorithm algorithm) {
  auto data = kj::arrayPtr(bytes.data(), bytes.size()).asBytes();
  return Digest::of(data, algorithm).toString().cStr();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  auto at = text.find(from);
  KJ_REQUIRE(at != std::string::npos, from.c_str());
  return text.replace(at, from.size(), to);
}

std::string bearer(const std::string& realm, const std::string& more) {
  return "WWW-Authenticate: Bearer realm=\"" + realm + "\"" + more + "\r\n";
}

}  // namespace bulkhead::testing
