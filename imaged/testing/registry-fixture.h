// SPDX-License-Identifier: Apache-2.0
// For tests: imaged against a scripted registry that has one image, "app:1".
#pragma once

#include "imaged/testing/failures.h"
#include "imaged/testing/imaged-fixture.h"
#include "imaged/testing/scripted-registry.h"
#include "imaged/testing/tar-builder.h"

namespace bulkhead::testing {

class RegistryTest : public ImagedTest {
 public:
  ~RegistryTest() noexcept override {}

 protected:
  using Request = ScriptedRegistry::Request;
  using Client = ScriptedRegistry::Client;

  ScriptedRegistry registry;
  TestImage image;
  kj::String name;

  // The registry with an image of one layer that holds the file "f", and imaged that may speak
  // plain HTTP to it.
  void SetUp() override;

  // Unless a test expects a pull to succeed, nothing may be visible at its end.
  void TearDown() override;

  // imaged anew: `of` is added to the registry's section, `more` stands behind it.
  void configure(kj::StringPtr of, kj::StringPtr more = "");

  // A file of the test's, for the configuration to name; only the owner may read it.
  kj::String secretFile(kj::StringPtr file, kj::StringPtr content);

  void expectPull(schema::PullPolicy policy = schema::PullPolicy::IF_ABSENT);
  FailureCode code(schema::PullPolicy policy = schema::PullPolicy::IF_ABSENT);

  // A pull with user and password.
  Failure pullFailureAs(kj::StringPtr user, kj::StringPtr password);

  std::string manifestPath() const { return "/v2/app/manifests/1"; }
  std::string layerPath() const;
  std::string configPath() const;
  std::string layerBytes() const;
  std::string manifestText() const { return image.manifest().cStr(); }

  void manifestIs(std::string body, std::string headers = "");
  void layerIs(std::string answer);

  bool succeeds = false;
};

std::string digestText(const std::string& bytes,
                       DigestAlgorithm algorithm = DigestAlgorithm::sha256);

// `text` with its first `from` as `to`; the test ends where there is none.
std::string replaced(std::string text, const std::string& from, const std::string& to);

// The header of a registry that wants to be told who asks.
std::string bearer(const std::string& realm, const std::string& more = "");

}  // namespace bulkhead::testing
