// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/power-cut.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include <kj/debug.h>

#include "imaged/testing/test-image.h"

namespace bulkhead::testing {
namespace {

// The replaced calls have no other way to know whom to tell.
PowerCut* active = nullptr;

std::string contentOf(int fd) {
  struct stat status;
  KJ_SYSCALL(fstat(fd, &status));
  std::string bytes(static_cast<size_t>(status.st_size), 0);
  ssize_t n;
  KJ_SYSCALL(n = pread(fd, bytes.data(), bytes.size(), 0));
  bytes.resize(static_cast<size_t>(n));
  return bytes;
}

// The entries of a directory that is held, wherever it is now; none once it is removed.
std::map<std::string, ino_t> entriesOf(int fd) {
  std::map<std::string, ino_t> entries;
  std::error_code error;
  auto path = "/proc/self/fd/" + std::to_string(fd);
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    struct stat status;
    KJ_SYSCALL(fstatat(fd, entry.path().filename().c_str(), &status, AT_SYMLINK_NOFOLLOW));
    entries[entry.path().filename()] = status.st_ino;
  }
  return entries;
}

}  // namespace

class PowerCut::Leaving {
 public:
  Leaving(const PowerCut& cut, Outcome outcome, uint64_t seed)
      : cut(cut), outcome(outcome), random(seed) {}

  void directory(ino_t number, const std::string& into) {
    const auto& inode = cut.inodes.at(number);
    auto now = entriesOf(inode.held);
    std::map<std::string, ino_t> chosen;
    auto choose = [&](const std::string& name) {
      auto before = inode.entries.find(name);
      auto after = now.find(name);
      bool same =
          before != inode.entries.end() && after != now.end() && before->second == after->second;
      bool late = same || takesLateName();
      if (late && after != now.end()) chosen[name] = after->second;
      if (!late && before != inode.entries.end()) chosen[name] = before->second;
    };
    for (const auto& [name, number2] : inode.entries) choose(name);
    for (const auto& [name, number2] : now) {
      if (!inode.entries.contains(name)) choose(name);
    }
    for (const auto& [name, child] : chosen) {
      auto path = into + "/" + name;
      if (cut.inodes.at(child).isDirectory) {
        std::filesystem::create_directory(path);
        directory(child, path);
      } else {
        auto content = contentFor(cut.inodes.at(child));
        writeFile(path.c_str(), kj::arrayPtr(content.data(), content.size()).asBytes());
      }
    }
  }

 private:
  const PowerCut& cut;
  Outcome outcome;
  std::mt19937_64 random;

  bool takesLateName() {
    return outcome == Outcome::mixed ? random() % 2 == 0 : outcome != Outcome::nothing;
  }

  std::string contentFor(const Inode& inode) {
    auto now = contentOf(inode.held);
    if (outcome == Outcome::everything || now == inode.content) return now;
    if (outcome != Outcome::mixed) return inode.content;
    switch (random() % 3) {
      case 0:
        return now;
      case 1:
        return now.substr(0, now.size() / 2);
      default:
        return inode.content;
    }
  }
};

PowerCut::PowerCut(kj::StringPtr directory, std::function<void(uint64_t, std::string)> atMoment)
    : root(directory.cStr()), atMoment(std::move(atMoment)) {
  KJ_REQUIRE(active == nullptr);
  struct stat status;
  KJ_SYSCALL(stat(root.c_str(), &status));
  rootNumber = status.st_ino;
  scan(root, true);
  active = this;
}

PowerCut::~PowerCut() noexcept(false) { active = nullptr; }

void PowerCut::scan(const std::string& path, bool isSynced) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return;
  if (inodes.find(status.st_ino) == inodes.end()) {
    int raw;
    KJ_SYSCALL(raw = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW), path.c_str());
    Inode inode;
    inode.held = kj::AutoCloseFd(raw);
    inode.isDirectory = S_ISDIR(status.st_mode);
    if (isSynced && !inode.isDirectory) inode.content = contentOf(inode.held);
    if (isSynced && inode.isDirectory) inode.entries = entriesOf(inode.held);
    inodes.emplace(status.st_ino, kj::mv(inode));
  }
  if (!S_ISDIR(status.st_mode)) return;
  for (const auto& entry : std::filesystem::directory_iterator(path)) scan(entry.path(), isSynced);
}

void PowerCut::before(std::string call) {
  if (busy) return;
  busy = true;
  KJ_DEFER(busy = false);
  scan(root, false);
  atMoment(count++, std::move(call));
}

void PowerCut::synced(int fd) {
  if (busy) return;
  struct stat status;
  KJ_SYSCALL(fstat(fd, &status));
  auto found = inodes.find(status.st_ino);
  if (found == inodes.end()) return;
  auto& inode = found->second;
  if (inode.isDirectory) {
    inode.entries = entriesOf(inode.held);
  } else {
    inode.content = contentOf(inode.held);
  }
}

void PowerCut::leave(kj::StringPtr into, Outcome outcome, uint64_t seed) const {
  Leaving(*this, outcome, seed).directory(rootNumber, into.cStr());
}

}  // namespace bulkhead::testing

// --- the calls, in place of libc's ---------------------------------------------------------------

using bulkhead::testing::active;

extern "C" {

// While somebody watches, nothing need reach the real disk: it is not the one whose power is cut.
int fsync(int fd) {
  if (active == nullptr) return static_cast<int>(syscall(SYS_fsync, fd));
  active->before("fsync");
  active->synced(fd);
  return 0;
}

int fdatasync(int fd) {
  if (active == nullptr) return static_cast<int>(syscall(SYS_fdatasync, fd));
  active->before("fdatasync");
  active->synced(fd);
  return 0;
}

int renameat2(int from, const char* oldName, int to, const char* newName, unsigned flags) noexcept {
  if (active != nullptr) active->before(std::string("rename to ") + newName);
  return static_cast<int>(syscall(SYS_renameat2, from, oldName, to, newName, flags));
}

int unlinkat(int directory, const char* name, int flags) noexcept {
  if (active != nullptr) active->before(std::string("unlink ") + name);
  return static_cast<int>(syscall(SYS_unlinkat, directory, name, flags));
}

int mkdirat(int directory, const char* name, mode_t mode) noexcept {
  if (active != nullptr) active->before(std::string("mkdir ") + name);
  return static_cast<int>(syscall(SYS_mkdirat, directory, name, mode));
}

}  // extern "C"
