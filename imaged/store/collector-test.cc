// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/collector.h"

#include <fcntl.h>
#include <time.h>

#include <gtest/gtest.h>
#include <kj/debug.h>

#include "imaged/testing/failures.h"
#include "imaged/testing/store-image.h"
#include "imaged/testing/test-image.h"

namespace bulkhead::testing {
namespace {

class CollectorTest : public ::testing::Test {
 public:
  ~CollectorTest() noexcept override {}

 protected:
  Log log{"collector-test"};
  TemporaryDirectory temporary;
  kj::Own<StoreDirectory> directory;
  kj::Own<ImageIndex> index;

  void SetUp() override { open(); }

  void open() {
    index = nullptr;
    directory = nullptr;
    int raw;
    KJ_SYSCALL(raw = ::open(temporary.path().cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    directory = kj::heap<StoreDirectory>(kj::AutoCloseFd(raw));
    index = kj::heap<ImageIndex>(*directory, log);
  }

  void add(const char* name, const FakeImage& image) {
    auto stored = image.publish(*directory, *index);
    index->setReference(FakeImage::reference(name), *stored, ReferenceOrigin::REGISTRY);
  }

  // Says when an image was used last, as the directory's time has it.
  void use(const FakeImage& image, time_t seconds) {
    timespec times[2] = {{seconds, 0}, {seconds, 0}};
    KJ_SYSCALL(
        utimensat(AT_FDCWD, temporary.path(kj::str("images/", image.folder())).cStr(), times, 0));
  }

  bool has(const char* name) { return index->find(FakeImage::reference(name)) != nullptr; }
  uint64_t used() {
    auto total = index->total();
    return total.packed + total.layers;
  }

  const FakeImage first{"first", {"common", "of the first"}};
  const FakeImage second{"second", {"common", "of the second"}};
  const FakeImage third{"third", {"of the third"}};
};

TEST_F(CollectorTest, SharedLayersCountOnce) {
  add("a:1", first);
  add("b:1", second);
  auto total = index->total();
  EXPECT_EQ(total.images, 2u);
  EXPECT_EQ(total.blobs, 3u);
  auto one = index->sizeOf(first.folder());
  EXPECT_EQ(one.shared * 2, one.layers) << "one of two layers of a page each is shared";
  EXPECT_EQ(total.layers, 3 * one.shared);
  Collector collector(*index, 0, log);
  capnp::MallocMessageBuilder message;
  auto usage = message.initRoot<schema::StoreUsage>();
  collector.describe(usage);
  EXPECT_EQ(usage.getUsedBytes(), used());
  EXPECT_EQ(usage.getReclaimableBytes(), used());
  index->hold(first.folder());
  collector.describe(usage);
  EXPECT_EQ(usage.getReclaimableBytes(), used() - one.packed - one.layers);
}

TEST_F(CollectorTest, TheLeastRecentlyUsedGoesFirst) {
  add("a:1", first);
  add("b:1", second);
  add("c:1", third);
  use(first, 2000);
  use(second, 1000);
  use(third, 3000);
  open();
  Collector collector(*index, used(), log);
  collector.makeRoom(1, "new");
  EXPECT_FALSE(has("b:1"));
  EXPECT_TRUE(has("a:1"));
  EXPECT_TRUE(has("c:1"));
  EXPECT_EQ(faultsOf(*directory, *index), "");
}

TEST_F(CollectorTest, WhatIsHeldStaysAndASharedLayerWithIt) {
  add("a:1", first);
  add("b:1", second);
  use(first, 1000);
  use(second, 2000);
  open();
  index->hold(first.folder());
  // Taking hold of it is a use as well.
  EXPECT_GT(index->lastUse(first.folder()), 2000);
  Collector collector(*index, used(), log);
  collector.makeRoom(1, "new");
  EXPECT_TRUE(has("a:1"));
  EXPECT_FALSE(has("b:1"));
  EXPECT_TRUE(index->hasBlob(Digest::of("common"_kj.asBytes())));
  EXPECT_EQ(faultsOf(*directory, *index), "");
}

TEST_F(CollectorTest, NothingGoesInVain) {
  add("a:1", first);
  add("b:1", third);
  index->hold(first.folder());
  auto quota = used();
  Collector collector(*index, quota, log);
  auto failed = failureFrom([&]() { collector.makeRoom(quota, "new"); });
  EXPECT_EQ(failed.code, FailureCode::EXHAUSTED);
  EXPECT_TRUE(says(failed, "images in use take")) << failed.describe().cStr();
  EXPECT_TRUE(has("b:1"));
}

TEST_F(CollectorTest, AnImageThatIsHeldOutlivesItsNameAndARestart) {
  add("a:1", first);
  index->hold(first.folder());
  index->removeReference(FakeImage::reference("a:1"));
  EXPECT_FALSE(has("a:1"));
  EXPECT_TRUE(index->findImage(first.folder()) != nullptr);
  Collector before(*index, 0, log);
  EXPECT_EQ(before.prune(schema::PruneReach::UNUSED).bytes, 0u);
  // After a restart nobody holds it yet: whoever did takes hold of it again.
  open();
  EXPECT_TRUE(index->findImage(first.folder()) != nullptr);
  index->hold(first.folder());
  Collector after(*index, 0, log);
  after.prune(schema::PruneReach::UNUSED);
  EXPECT_TRUE(index->findImage(first.folder()) != nullptr);
  index->release(first.folder());
  // It has a while to come back once more.
  after.removeForgotten(600);
  EXPECT_TRUE(index->findImage(first.folder()) != nullptr);
  after.removeForgotten(0);
  EXPECT_TRUE(index->findImage(first.folder()) == nullptr);
  EXPECT_EQ(directory->list("blobs").size(), 0u);
  EXPECT_EQ(directory->list("images").size(), 0u);
}

TEST_F(CollectorTest, PruneTakesWhatHasNoName) {
  add("a:1", first);
  add("a:2", second);
  index->hold(second.folder());
  index->removeReference(FakeImage::reference("a:2"));
  open();
  Collector collector(*index, 0, log);
  auto freed = collector.prune(schema::PruneReach::UNNAMED);
  EXPECT_GT(freed.bytes, 0u);
  EXPECT_EQ(freed.references.size(), 0u);
  EXPECT_TRUE(has("a:1"));
  EXPECT_EQ(index->imageNames().size(), 1u);
  auto all = collector.prune(schema::PruneReach::UNUSED);
  ASSERT_EQ(all.references.size(), 1u);
  EXPECT_STREQ(all.references[0].cStr(), "docker.io/library/a:1");
  EXPECT_EQ(used(), 0u);
}

TEST_F(CollectorTest, WhatCannotBeReadIsSweptAndNothingElse) {
  add("a:1", first);
  add("b:1", third);
  writeFile(temporary.path(kj::str("images/", third.folder(), "/record")), "nonsense"_kj.asBytes());
  writeFile(temporary.path("references/stray"), "x"_kj.asBytes());
  open();
  EXPECT_TRUE(has("a:1"));
  EXPECT_FALSE(has("b:1"));
  Collector collector(*index, 0, log);
  collector.prune(schema::PruneReach::UNNAMED);
  EXPECT_EQ(directory->list("images").size(), 1u);
  EXPECT_EQ(directory->list("references").size(), 1u);
  EXPECT_EQ(faultsOf(*directory, *index), "");
}

TEST_F(CollectorTest, APinnedLayerOutlivesItsImages) {
  add("a:1", first);
  auto layer = Digest::of("of the first"_kj.asBytes());
  index->pinBlob(layer);
  index->removeReference(FakeImage::reference("a:1"));
  EXPECT_EQ(directory->list("blobs").size(), 1u);
  index->unpinBlob(layer);
  EXPECT_EQ(directory->list("blobs").size(), 0u);
}

TEST_F(CollectorTest, KnowingADigestIsNoRightToTheLayer) {
  add("registry.example/team/app:1", first);
  auto layer = Digest::of("common"_kj.asBytes());
  auto standing = [&](kj::StringPtr name) {
    return index->standing(Reference::parse(name, "docker.io"), layer);
  };
  using Standing = ImageIndex::Standing;
  EXPECT_EQ(standing("registry.example/team/app:2"), Standing::sameRepository);
  EXPECT_EQ(standing("registry.example/other:1"), Standing::sameRegistry);
  EXPECT_EQ(standing("elsewhere.example/team/app:1"), Standing::stranger);
  index->markBlobDamaged(layer);
  EXPECT_EQ(standing("registry.example/team/app:2"), Standing::absent);
}

TEST_F(CollectorTest, ALocalImageSaysNothingOfARegistry) {
  auto stored = first.publish(*directory, *index);
  index->setReference(FakeImage::reference("registry.example/app:1"), *stored,
                      ReferenceOrigin::LOCAL);
  EXPECT_EQ(index->standing(FakeImage::reference("registry.example/app:2"),
                            Digest::of("common"_kj.asBytes())),
            ImageIndex::Standing::stranger);
}

}  // namespace
}  // namespace bulkhead::testing
