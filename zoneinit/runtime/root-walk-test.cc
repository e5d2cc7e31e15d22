// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/root-walk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <kj/debug.h>

namespace bulkhead::zone {
namespace {

namespace fs = std::filesystem;

// root/ is what a stranger filled; outside/ is what nothing may reach.
class RootWalkTest : public testing::Test {
 protected:
  RootWalkTest() {
    char path[] = "/tmp/bulkhead-walk-XXXXXX";
    base = mkdtemp(path);
    fs::create_directories(base / "root/etc");
    fs::create_directories(base / "outside");
    root = kj::AutoCloseFd(open((base / "root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  ~RootWalkTest() noexcept override { fs::remove_all(base); }

  void link(const char* target, const char* name) {
    fs::create_symlink(target, base / "root" / name);
  }
  bool inRoot(const char* path) { return fs::exists(fs::symlink_status(base / "root" / path)); }
  bool outsideIsEmpty() { return fs::is_empty(base / "outside"); }

  fs::path base;
  kj::AutoCloseFd root;
};

TEST_F(RootWalkTest, MakesTargets) {
  EXPECT_TRUE(mountTarget(root, "etc/resolv.conf", TargetKind::file) != nullptr);
  EXPECT_TRUE(mountTarget(root, "/a//b/./c", TargetKind::directory) != nullptr);
  EXPECT_TRUE(fs::is_regular_file(base / "root/etc/resolv.conf"));
  EXPECT_TRUE(fs::is_directory(base / "root/a/b/c"));
}

TEST_F(RootWalkTest, ReplacesASymlinkInPlaceOfATarget) {
  link("../../outside/escaped", "etc/resolv.conf");
  link("/outside", "proc");
  EXPECT_TRUE(mountTarget(root, "etc/resolv.conf", TargetKind::file) != nullptr);
  EXPECT_TRUE(mountTarget(root, "proc", TargetKind::directory) != nullptr);
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(base / "root/etc/resolv.conf")));
  EXPECT_TRUE(fs::is_directory(fs::symlink_status(base / "root/proc")));
  EXPECT_TRUE(outsideIsEmpty());
}

TEST_F(RootWalkTest, StaysInsideThroughParentSymlinks) {
  fs::remove(base / "root/etc");
  link("../../outside", "etc");  // resolved inside, it names a directory that is not there
  EXPECT_TRUE(mountTarget(root, "etc/hosts", TargetKind::file) == nullptr);
  EXPECT_TRUE(outsideIsEmpty());
  fs::create_directory(base / "root/outside");
  EXPECT_TRUE(mountTarget(root, "etc/hosts", TargetKind::file) != nullptr);
  EXPECT_TRUE(inRoot("outside/hosts"));
  EXPECT_TRUE(outsideIsEmpty());
}

TEST_F(RootWalkTest, GoesNoHigherThanTheRoot) {
  EXPECT_TRUE(openOrMakeDirectory(root, "/../../../outside/made") != nullptr);
  EXPECT_TRUE(inRoot("outside/made"));
  EXPECT_TRUE(outsideIsEmpty());
}

TEST_F(RootWalkTest, FollowsNoMagicLinks) {
  link("/proc/self/root", "up");
  fs::create_directories(base / "root/proc/self");
  EXPECT_TRUE(openOrMakeDirectory(root, "up/tmp") == nullptr);
}

TEST_F(RootWalkTest, ReadsRegularFilesOnly) {
  std::ofstream(base / "root/etc/passwd") << "content";
  EXPECT_STREQ(KJ_ASSERT_NONNULL(readFileInRoot(root, "etc/passwd", 100)).cStr(), "content");
  EXPECT_TRUE(readFileInRoot(root, "etc/missing", 100) == nullptr);
  EXPECT_TRUE(readFileInRoot(root, "etc", 100) == nullptr);
  ASSERT_EQ(mkfifo((base / "root/etc/pipe").c_str(), 0644), 0);
  EXPECT_TRUE(readFileInRoot(root, "etc/pipe", 100) == nullptr);
  std::ofstream(base / "outside/secret") << "secret";
  link("../../outside/secret", "etc/group");
  EXPECT_TRUE(readFileInRoot(root, "etc/group", 100) == nullptr);
}

TEST_F(RootWalkTest, BoundsWhatItReads) {
  std::ofstream(base / "root/etc/passwd") << std::string(5000, 'x');
  EXPECT_ANY_THROW(readFileInRoot(root, "etc/passwd", 4999));
  EXPECT_EQ(KJ_ASSERT_NONNULL(readFileInRoot(root, "etc/passwd", 5000)).size(), 5000u);
}

}  // namespace
}  // namespace bulkhead::zone
