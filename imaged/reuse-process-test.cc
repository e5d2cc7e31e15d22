// SPDX-License-Identifier: Apache-2.0
// Who may have what the store already has: imaged and its workers, as they are shipped, against a
// registry that counts what it is asked for.
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <filesystem>
#include <future>

#include <kj/debug.h>

#include "imaged/testing/failures.h"
#include "imaged/testing/imaged-fixture.h"
#include "imaged/testing/scripted-registry.h"
#include "imaged/testing/tar-builder.h"

namespace bulkhead::testing {
namespace {

using Request = ScriptedRegistry::Request;

class ReuseTest : public ImagedTest {
 public:
  ~ReuseTest() noexcept override {}

 protected:
  ScriptedRegistry registry;
  ScriptedRegistry elsewhere;
  TestImage first;
  TestImage second;

  void SetUp() override {
    auto common = TarBuilder().file("common", "the private part").finish();
    first.layer(common).layer(TarBuilder().file("one", "1").finish());
    second.layer(common).layer(TarBuilder().file("two", "2").finish());
    startImaged(kj::str("[registry.\"", registry.host(), "\"]\ninsecure-http = true\n",
                        "[registry.\"", elsewhere.host(), "\"]\ninsecure-http = true\n"));
  }

  static std::string layerDigest(const TestImage& image, uint number) {
    auto text = std::string(image.manifest().cStr());
    auto at = text.find("\"layers\"");
    for (uint i = 0; i <= number; ++i) at = text.find("sha256:", at + 1);
    return text.substr(at, 71);
  }

  // How often a layer's bytes were sent.
  static uint sent(const ScriptedRegistry& from, const std::string& path) {
    uint count = 0;
    for (const auto& request : from.requests()) {
      if (request.path == path && request.method != "HEAD") ++count;
    }
    return count;
  }

  kj::String at(const ScriptedRegistry& where, kj::StringPtr repository) {
    return kj::str(where.host(), "/", repository, ":1");
  }
};

TEST_F(ReuseTest, ALayerOfTheSameRepositoryIsNotFetchedTwice) {
  registry.serve(first, "app", "1");
  pull(at(registry, "app"));
  registry.serve(second, "app", "1");
  EXPECT_EQ(readRoot(pull(at(registry, "app"), schema::PullPolicy::ALWAYS), "two"), "2");
  EXPECT_EQ(sent(registry, "/v2/app/blobs/" + layerDigest(first, 0)), 1u);
}

TEST_F(ReuseTest, AnotherRegistryMustGiveTheBytesItself) {
  registry.serve(first, "app", "1");
  pull(at(registry, "app"));
  // It knows the documents, and so the digests, of somebody's private image; it has not its layers.
  elsewhere.serve(first, "app", "1");
  auto withheld = "/v2/app/blobs/" + layerDigest(first, 0);
  elsewhere.on(withheld, [](const Request&) { return httpAnswer(404, ""); });
  EXPECT_EQ(pullFailure(at(elsewhere, "app")).code, FailureCode::NOT_FOUND);
  EXPECT_EQ(store().listRequest().send().wait(io.waitScope).getImages().size(), 1u);
}

TEST_F(ReuseTest, AnotherRepositoryMustAllowIt) {
  registry.serve(first, "private/app", "1");
  pull(at(registry, "private/app"));
  registry.serve(first, "public/app", "1");
  auto withheld = "/v2/public/app/blobs/" + layerDigest(first, 0);
  registry.on(withheld, [](const Request&) { return httpAnswer(403, ""); });
  EXPECT_EQ(pullFailure(at(registry, "public/app")).code, FailureCode::UNAUTHENTICATED);
  EXPECT_EQ(sent(registry, withheld), 1u) << "asked for, and then for its bytes";
  // As soon as it does, the image is there, and nothing is fetched or packed for it.
  registry.serve(first, "public/app", "1");
  EXPECT_EQ(readRoot(pull(at(registry, "public/app")), "common"), "the private part");
  EXPECT_EQ(sent(registry, withheld), 1u);
  EXPECT_EQ(store().listRequest().send().wait(io.waitScope).getImages().size(), 2u);
}

TEST_F(ReuseTest, ALayoutWithoutItsLayersGivesNothing) {
  registry.serve(first, "app", "1");
  pull(at(registry, "app"));
  auto path = directory.makeDirectory("layout");
  first.writeLayout(path, "1");
  auto blob = kj::str(path, "/blobs/sha256/", layerDigest(first, 0).c_str() + strlen("sha256:"));
  KJ_SYSCALL(unlink(blob.cStr()));
  int raw;
  KJ_SYSCALL(raw = open(path.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto request = store().importLayoutRequest();
  request.setLayout(makeDirectory(kj::AutoCloseFd(raw)));
  request.setReference("localhost/mine:1");
  auto failed = failureFrom([&]() { request.send().wait(io.waitScope); });
  EXPECT_EQ(failed.code, FailureCode::NOT_FOUND) << failed.describe().cStr();
}

TEST_F(ReuseTest, ADamagedLayerIsFetchedAnew) {
  registry.serve(first, "app", "1");
  pull(at(registry, "app"));
  auto digest = layerDigest(first, 0);
  auto blob = directory.path(kj::str("state/blobs/", digest.c_str() + strlen("sha256:")));
  writeFile(blob, "damaged"_kj.asBytes());
  registry.serve(second, "app", "1");
  auto image = pull(at(registry, "app"), schema::PullPolicy::ALWAYS);
  EXPECT_EQ(readRoot(image, "common"), "the private part");
  EXPECT_EQ(sent(registry, "/v2/app/blobs/" + digest), 2u);
}

TEST_F(ReuseTest, PullsOfTheSameThingAreJoined) {
  registry.serve(first, "app", "1");
  kj::Vector<kj::Promise<void>> pulls;
  for (uint i = 0; i < 5; ++i) {
    auto request = store().pullRequest();
    request.setReference(at(registry, "app"));
    pulls.add(request.send().ignoreResult());
  }
  kj::joinPromises(pulls.releaseAsArray()).wait(io.waitScope);
  EXPECT_EQ(sent(registry, "/v2/app/manifests/1"), 1u);
  EXPECT_EQ(sent(registry, "/v2/app/blobs/" + layerDigest(first, 0)), 1u);
}

TEST_F(ReuseTest, TheLastWaiterTakesThePullWithIt) {
  registry.serve(first, "app", "1");
  auto asked = kj::newPromiseAndCrossThreadFulfiller<void>();
  std::promise<void> go;
  auto held = go.get_future().share();
  auto answer = httpAnswer(404, "");
  registry.on("/v2/app/blobs/" + layerDigest(first, 0), [&](const Request&) {
    asked.fulfiller->fulfill();
    held.wait();
    return answer;
  });
  auto begin = [&]() {
    auto request = store().pullRequest();
    request.setReference(at(registry, "app"));
    return request.send().ignoreResult().eagerlyEvaluate(nullptr);
  };
  auto tmp = [&]() {
    store().listRequest().send().wait(io.waitScope);
    return std::distance(std::filesystem::directory_iterator(directory.path("state/tmp").cStr()),
                         std::filesystem::directory_iterator());
  };
  kj::Maybe<kj::Promise<void>> one = begin();
  kj::Maybe<kj::Promise<void>> two = begin();
  asked.promise.wait(io.waitScope);
  EXPECT_GT(tmp(), 0);
  one = nullptr;
  EXPECT_GT(tmp(), 0) << "somebody waits still";
  two = nullptr;
  EXPECT_EQ(tmp(), 0) << "nobody waits any more";
  go.set_value();
  registry.serve(first, "app", "1");
  EXPECT_EQ(readRoot(pull(at(registry, "app")), "one"), "1");
}

}  // namespace
}  // namespace bulkhead::testing
