// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/reference-unpacker.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include <kj/debug.h>

#include "imaged/testing/processes.h"

namespace bulkhead::testing {
namespace {

namespace fs = std::filesystem;

std::string attributesOf(const fs::path& path) {
  char list[4096];
  ssize_t size;
  KJ_SYSCALL(size = llistxattr(path.c_str(), list, sizeof list));
  std::vector<std::string> found;
  for (char* name = list; name < list + size; name += strlen(name) + 1) {
    char value[4096];
    ssize_t length;
    KJ_SYSCALL(length = lgetxattr(path.c_str(), name, value, sizeof value));
    auto bytes = kj::arrayPtr(value, static_cast<size_t>(length)).asBytes();
    found.push_back(std::string(" ") + name + "=" + Digest::of(bytes).hex().cStr());
  }
  std::sort(found.begin(), found.end());
  std::string result;
  for (auto& each : found) result += each;
  return result;
}

std::string describe(const fs::path& path, const struct stat& status) {
  auto text = kj::str(kj::hex(status.st_mode), " ", status.st_uid, "/", status.st_gid, " @",
                      status.st_mtim.tv_sec);
  std::string result = text.cStr();
  if (S_ISREG(status.st_mode)) {
    auto bytes = readFile(path.c_str());
    result += kj::str(" ", bytes.size(), " bytes ", Digest::of(bytes).hex()).cStr();
  } else if (S_ISLNK(status.st_mode)) {
    result += " -> " + fs::read_symlink(path).string();
  } else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
    result += kj::str(" ", major(status.st_rdev), ":", minor(status.st_rdev)).cStr();
  }
  return result + attributesOf(path);
}

}  // namespace

std::map<std::string, std::string> describeTree(const std::string& directory) {
  std::map<std::string, std::string> result;
  std::map<ino_t, std::vector<std::string>> names;
  auto look = [&](const fs::path& path) {
    struct stat status;
    KJ_SYSCALL(lstat(path.c_str(), &status), path.c_str());
    auto name = path.string().substr(directory.size());
    result[name] = describe(path, status);
    if (!S_ISDIR(status.st_mode)) names[status.st_ino].push_back(name);
  };
  look(directory);
  for (auto& entry : fs::recursive_directory_iterator(directory)) look(entry.path());
  for (auto& [inode, same] : names) {
    std::sort(same.begin(), same.end());
    for (auto& name : same) {
      for (auto& other : same) {
        if (other != name) result[name] += " = " + other;
      }
    }
  }
  return result;
}

std::string ReferenceTest::difference(kj::ArrayPtr<const kj::Array<kj::byte>> tars) {
  auto place = kj::str("run", ++runs);
  TestImage image;
  clear();
  for (auto& tar : tars) {
    image.layer(tar, TestImage::Compression::none);
    add(tar, tar, Compression::NONE);
  }
  auto layout = directory.makeDirectory(kj::str(place, "/layout"));
  image.writeLayout(layout, "1");
  auto theirs = directory.path(kj::str(place, "/umoci"));
  runCommand({"umoci", "raw", "unpack", "--image", kj::str(layout, ":1"), theirs});

  auto file = directory.path(kj::str(place, "/squashfs"));
  auto bytes = squashfs();
  writeFile(file, kj::arrayPtr(bytes.data(), bytes.size()).asBytes());
  auto ours = directory.path(kj::str(place, "/ours"));
  runCommand({"unsquashfs", "-quiet", "-no-progress", "-d", ours, file});

  auto expected = describeTree(theirs.cStr());
  auto found = describeTree(ours.cStr());
  std::string result;
  for (auto& [path, text] : expected) {
    auto at = found.find(path);
    if (at == found.end()) {
      result += path + " is missing: " + text + "\n";
    } else if (at->second != text) {
      result += path + " is    " + at->second + "\n" + path + " not   " + text + "\n";
    }
  }
  for (auto& [path, text] : found) {
    if (!expected.contains(path)) result += path + " is too much: " + text + "\n";
  }
  fs::remove_all(directory.path(place).cStr());
  return result;
}

}  // namespace bulkhead::testing
