// SPDX-License-Identifier: Apache-2.0
// A pull that ends at any moment, by kill -9 of everybody or by a power cut, leaves a store that
// verifies clean and a retry that succeeds.
#include <fcntl.h>
#include <stdlib.h>

#include <random>
#include <set>

#include <kj/debug.h>

#include "imaged/store/image-store.h"
#include "imaged/testing/imaged-fixture.h"
#include "imaged/testing/power-cut.h"
#include "imaged/testing/scripted-registry.h"
#include "imaged/testing/store-image.h"
#include "imaged/testing/tar-builder.h"

namespace bulkhead::testing {
namespace {

constexpr uint kMoments = 50;
constexpr uint64_t kSeed = 20260711;

// The seed of the moments; another one may be given to look further.
uint64_t seedOfRun() {
  const char* given = getenv("BULKHEAD_TEST_SEED");
  return given == nullptr ? kSeed : strtoull(given, nullptr, 10);
}

// Three layers that do not compress, so that a pull takes its time.
TestImage someImage() {
  std::mt19937_64 random(1);
  TestImage image;
  for (char name : {'a', 'b', 'c'}) {
    std::string content(size_t{1} << 20, 0);
    for (char& byte : content) byte = static_cast<char>(random());
    image.layer(TarBuilder().file(std::string(1, name).c_str(), content).finish());
  }
  return image;
}

kj::String insecure(const ScriptedRegistry& registry) {
  return kj::str("[registry.\"", registry.host(), "\"]\ninsecure-http = true\n");
}

// What `verify` says of an image, a problem a line.
std::string problemsOf(schema::Image::Client image, kj::WaitScope& waitScope) {
  std::string problems;
  auto response = image.verifyRequest().send().wait(waitScope);
  for (auto check : response.getReport().getChecks()) {
    if (check.getResult() == schema::VerifyReport::Result::INTACT) continue;
    problems += kj::str(check.getSubject(), ": ", check.getProblem(), "\n").cStr();
  }
  return problems;
}

class KillTest : public ImagedTest {
 public:
  ~KillTest() noexcept override {}
};

TEST_F(KillTest, APullIsKilledAtFiftyMoments) {
  auto seed = seedOfRun();
  SCOPED_TRACE("BULKHEAD_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  ScriptedRegistry registry;
  auto image = someImage();
  registry.serve(image, "app", "1");
  auto name = kj::str(registry.host(), "/app:1");
  auto config = insecure(registry);
  auto& timer = io.provider->getTimer();

  auto remove = [&]() {
    auto request = store().removeRequest();
    request.setReference(name);
    request.send().wait(io.waitScope);
  };
  // The first ones are slower than what follows.
  startImaged(config);
  int64_t whole = kj::maxValue;
  for (uint i = 0; i < 4; ++i) {
    auto begun = timer.now();
    pull(name);
    whole = kj::min(whole, (timer.now() - begun) / kj::MICROSECONDS);
    remove();
  }

  uint cutShort = 0;
  for (uint i = 0; i < kMoments; ++i) {
    auto delay = static_cast<int64_t>(random() % static_cast<uint64_t>(whole)) * kj::MICROSECONDS;
    SCOPED_TRACE("kill " + std::to_string(i) + " after " +
                 std::to_string(delay / kj::MICROSECONDS) + " of " + std::to_string(whole) +
                 " microseconds");
    {
      auto request = store().pullRequest();
      request.setReference(name);
      bool done = false;
      auto pulling = request.send()
                         .ignoreResult()
                         .then([&]() { done = true; })
                         .eagerlyEvaluate([](kj::Exception&&) {});
      timer.afterDelay(delay).wait(io.waitScope);
      if (!done) ++cutShort;
      killAll();
    }
    startImaged(config);
    auto listed = store().listRequest().send().wait(io.waitScope);
    for (auto found : listed.getImages()) {
      auto request = store().findRequest();
      request.setReference(found.getReference());
      EXPECT_EQ(problemsOf(request.send().getImage(), io.waitScope), "");
    }
    {
      auto again = pull(name);
      EXPECT_EQ(problemsOf(again, io.waitScope), "");
    }
    remove();
    auto usage = store().keeperRequest().send().getKeeper().usageRequest().send();
    EXPECT_EQ(usage.wait(io.waitScope).getUsage().getUsedBytes(), 0u);
    if (HasFailure()) return;
  }
  EXPECT_GT(cutShort, kMoments / 3);
}

// imaged's own code within the test, whose calls can be watched; its workers are the shipped ones.
class PowerCutPullTest : public ::testing::Test {
 public:
  ~PowerCutPullTest() noexcept override {}

 protected:
  kj::AsyncIoContext io = kj::setupAsyncIo();
  TemporaryDirectory temporary;
  Log log{"power-cut-test"};
  ScriptedRegistry registry;
  LayoutRoots layouts{nullptr};
  ImagedConfig config = ImagedConfig::parse(insecure(registry), "imaged.toml");
  kj::Own<AcceptUnit> fetch;
  kj::Own<AcceptUnit> unpack;

  void SetUp() override {
    auto run = temporary.makeDirectory("run");
    setenv("BULKHEAD_RUN", run.cStr(), 1);
    kj::Vector<kj::String> none;
    fetch = kj::heap<AcceptUnit>(kj::str(run, "/fetch.sock"), IMAGED_FETCH, none, 2);
    unpack = kj::heap<AcceptUnit>(kj::str(run, "/unpack.sock"), IMAGED_UNPACK, none, 2);
    registry.serve(someImage(), "app", "1");
  }

  // A store in a directory, and imaged on it.
  struct Imaged {
    StoreDirectory directory;
    ImageIndex index;
    Collector collector;
    schema::ImageStore::Client store;

    Imaged(PowerCutPullTest& test, kj::StringPtr state)
        : directory(open(state)),
          index(directory, test.log),
          collector(index, 0, test.log),
          store(kj::heap<ImageStoreImpl>(
              PullServices{*test.io.lowLevelProvider, test.io.provider->getTimer(), test.config,
                           directory, index, collector},
              test.layouts, test.log)) {}

    static kj::AutoCloseFd open(kj::StringPtr state) {
      int raw;
      KJ_SYSCALL(raw = ::open(state.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      return kj::AutoCloseFd(raw);
    }
  };

  schema::Image::Client pull(Imaged& imaged) {
    auto request = imaged.store.pullRequest();
    request.setReference(kj::str(registry.host(), "/app:1"));
    return request.send().wait(io.waitScope).getImage();
  }
};

TEST_F(PowerCutPullTest, ThePowerIsCutAtFiftyMoments) {
  auto seed = seedOfRun();
  SCOPED_TRACE("BULKHEAD_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  uint64_t calls = 0;
  {
    auto state = temporary.makeDirectory("counted");
    Imaged imaged(*this, state);
    PowerCut cut(state, [](uint64_t, std::string) {});
    pull(imaged);
    calls = cut.moments();
  }
  ASSERT_GT(calls, 10u);

  std::multiset<uint64_t> moments;
  for (uint i = 0; i < kMoments; ++i) moments.insert(random() % calls);
  struct Left {
    kj::String path;
    std::string moment;
  };
  kj::Vector<Left> left;
  {
    auto state = temporary.makeDirectory("watched");
    Imaged imaged(*this, state);
    kj::Maybe<PowerCut&> self;
    PowerCut cut(state, [&](uint64_t moment, std::string call) {
      for (size_t i = 0; i < moments.count(moment); ++i) {
        auto path = temporary.makeDirectory(kj::str("left/", left.size()));
        auto outcome = i % 2 == 0 ? PowerCut::Outcome::mixed : PowerCut::Outcome::names;
        KJ_ASSERT_NONNULL(self).leave(path, outcome, random());
        left.add(Left{kj::mv(path), "call " + std::to_string(moment) + ", " + call});
      }
    });
    self = cut;
    pull(imaged);
  }
  EXPECT_GE(left.size(), kMoments - 5);

  for (const auto& each : left) {
    SCOPED_TRACE(each.moment);
    Imaged imaged(*this, each.path);
    EXPECT_EQ(faultsOf(imaged.directory, imaged.index), "");
    EXPECT_EQ(problemsOf(pull(imaged), io.waitScope), "");
    EXPECT_EQ(faultsOf(imaged.directory, imaged.index), "");
    EXPECT_EQ(imaged.directory.list("blobs").size(), 3u);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace bulkhead::testing
