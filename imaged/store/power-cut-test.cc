// SPDX-License-Identifier: Apache-2.0
// The order in which the store syncs and renames: whatever a power cut leaves of it at any moment
// is a store that holds whole images only, and everything that was said to be done.
#include "imaged/testing/power-cut.h"

#include <fcntl.h>

#include <map>
#include <set>

#include <gtest/gtest.h>
#include <kj/debug.h>

#include "imaged/store/collector.h"
#include "imaged/testing/store-image.h"
#include "imaged/testing/test-image.h"

namespace bulkhead::testing {
namespace {

using Outcome = PowerCut::Outcome;

kj::AutoCloseFd openDirectory(kj::StringPtr path) {
  int raw;
  KJ_SYSCALL(raw = open(path.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), path);
  return kj::AutoCloseFd(raw);
}

class PowerCutTest : public ::testing::Test {
 public:
  ~PowerCutTest() noexcept override {}

 protected:
  Log log{"power-cut-test"};
  TemporaryDirectory temporary;
  kj::String state = temporary.makeDirectory("state");
  StoreDirectory directory{openDirectory(state)};
  ImageIndex index{directory, log};
  uint64_t states = 0;

  // Which folder each name may lead to at this moment; "" is none.
  std::map<std::string, std::set<std::string>> expected;

  // Does what changes a name's meaning. Until it returns either is right, then only the new one.
  template <typename Action>
  void change(const char* name, std::string to, Action&& action) {
    auto& allowed = expected.try_emplace(name, std::set<std::string>{""}).first->second;
    allowed.insert(to);
    action();
    allowed = {to};
  }

  void point(const char* name, const FakeImage& image) {
    change(name, image.folder().cStr(), [&]() {
      auto stored = image.publish(directory, index);
      index.setReference(FakeImage::reference(name), *stored, ReferenceOrigin::REGISTRY);
    });
  }

  void remove(const char* name) {
    change(name, "", [&]() { index.removeReference(FakeImage::reference(name)); });
  }

  // Cuts the power before every call that `scenario` makes.
  template <typename Scenario>
  void cutEverywhere(Scenario&& scenario) {
    kj::Maybe<PowerCut&> self;
    PowerCut cut(state, [&](uint64_t moment, std::string call) {
      look(KJ_ASSERT_NONNULL(self), moment, call);
    });
    self = cut;
    scenario();
    look(cut, cut.moments(), "the end");
    EXPECT_GT(states, 50u);
  }

  void look(const PowerCut& cut, uint64_t moment, const std::string& call) {
    auto one = [&](Outcome outcome, uint64_t seed) {
      SCOPED_TRACE("before call " + std::to_string(moment) + " (" + call + "), outcome " +
                   std::to_string(static_cast<int>(outcome)) + ", seed " + std::to_string(seed));
      checkAfter(cut, outcome, seed);
    };
    one(Outcome::nothing, 0);
    one(Outcome::names, 0);
    one(Outcome::everything, 0);
    for (uint64_t i = 0; i < 4; ++i) one(Outcome::mixed, moment * 100 + i);
  }

  void checkAfter(const PowerCut& cut, Outcome outcome, uint64_t seed) {
    TemporaryDirectory after("/dev/shm");
    cut.leave(after.path(), outcome, seed);
    StoreDirectory left(openDirectory(after.path()));
    ImageIndex found(left, log);
    ++states;
    EXPECT_EQ(faultsOf(left, found), "");
    for (const auto& [name, allowed] : expected) {
      std::string folder;
      KJ_IF_MAYBE (named, found.find(FakeImage::reference(name.c_str()))) {
        folder = named->image->name().cStr();
      }
      EXPECT_TRUE(allowed.contains(folder)) << name << " leads to '" << folder << "'";
    }
  }

  const FakeImage first{"first", {"common layer", "a layer of the first"}};
  const FakeImage second{"second", {"common layer", "a layer of the second", "common layer"}};
};

TEST_F(PowerCutTest, ImagesAppearWhole) {
  cutEverywhere([&]() {
    point("a:1", first);
    point("b:1", second);
  });
}

TEST_F(PowerCutTest, AMovedNameAndWhatItLeavesBehind) {
  point("a:1", first);
  cutEverywhere([&]() { point("a:1", second); });
  EXPECT_EQ(index.imageNames().size(), 1u);
}

TEST_F(PowerCutTest, ImagesGoWhole) {
  point("a:1", first);
  point("b:1", second);
  cutEverywhere([&]() {
    remove("a:1");
    remove("b:1");
  });
  EXPECT_EQ(faultsOf(directory, index), "");
  EXPECT_EQ(directory.list("blobs").size(), 0u);
}

TEST_F(PowerCutTest, ADamagedImageIsReplacedInOneStep) {
  point("a:1", first);
  index.markDamaged(first.folder());
  index.markBlobDamaged(Digest::of("common layer"_kj.asBytes()));
  cutEverywhere([&]() { point("a:1", first); });
  EXPECT_FALSE(index.isDamaged(first.folder()));
}

TEST_F(PowerCutTest, AVerdictIsOldOrNew) {
  point("a:1", first);
  capnp::MallocMessageBuilder message;
  auto verdict = message.initRoot<schema::SignatureVerdict>();
  verdict.setKind(schema::SignatureVerdict::Kind::VERIFIED);
  cutEverywhere([&]() {
    index.setVerdict(first.folder(), verdict);
    point("b:1", second);
  });
}

TEST_F(PowerCutTest, TheQuotasVictimGoesWhole) {
  point("a:1", first);
  auto total = index.total();
  Collector collector(index, total.packed + total.layers, log);
  cutEverywhere([&]() {
    change("a:1", "", [&]() { collector.makeRoom(1, "another"); });
    point("b:1", second);
  });
}

// The simulation must see what it is there for.
TEST_F(PowerCutTest, AMissingSyncIsFound) {
  auto fd = openDirectory(state);
  uint64_t broken = 0;
  kj::Maybe<PowerCut&> self;
  PowerCut cut(state, [&](uint64_t, std::string) {
    TemporaryDirectory after;
    KJ_ASSERT_NONNULL(self).leave(after.path(), Outcome::names, 0);
    int raw = open(after.path("done").cStr(), O_RDONLY | O_CLOEXEC);
    if (raw < 0) return;
    kj::AutoCloseFd file(raw);
    if (kj::FdInputStream(file.get()).readAllText() != "content") ++broken;
  });
  self = cut;
  writeFile(temporary.path("state/new"), "content"_kj.asBytes());
  KJ_SYSCALL(renameat2(fd, "new", fd, "done", 0));
  KJ_SYSCALL(fsync(fd));
  EXPECT_EQ(broken, 1u);
}

}  // namespace
}  // namespace bulkhead::testing
