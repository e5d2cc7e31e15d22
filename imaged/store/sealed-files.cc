// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/sealed-files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

// Enough for the kernels and systems of a host that has moved to new ones not long ago.
constexpr uint64_t kMostKeptBytes = 128u << 20;
constexpr kj::Duration kKeptUnused = 2 * kj::MINUTES;

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

[[noreturn]] void failCopy(kj::StringPtr name, int error) {
  if (error == ENOSPC || error == ENOMEM) {
    fail(FailureCode::EXHAUSTED, name, "there is too little memory for a zone's boot files",
         "stop a zone, or give the host more memory");
  }
  KJ_FAIL_SYSCALL("sendfile", error, name);
}

// Appends all of `from` and returns the new end.
uint64_t append(int from, int to, uint64_t end, kj::StringPtr name) {
  struct stat status;
  KJ_SYSCALL(fstat(from, &status));
  auto size = static_cast<uint64_t>(status.st_size);
  KJ_SYSCALL(lseek(to, static_cast<off_t>(end), SEEK_SET));
  off_t position = 0;
  while (static_cast<uint64_t>(position) < size) {
    // In the kernel, from the page cache: the bytes do not pass through this process.
    ssize_t count = sendfile(to, from, &position, size - static_cast<uint64_t>(position));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) failCopy(name, errno);
    if (count == 0) fail(FailureCode::CORRUPT, name, "a file of the image is cut");
  }
  return end + size;
}

}  // namespace

kj::AutoCloseFd SealedFiles::get(kj::StringPtr name, kj::ArrayPtr<const int> parts) {
  for (auto entry = entries.begin(); entry != entries.end(); ++entry) {
    if (entry->name != name) continue;
    entry->lastUse = timer.now();
    entries.splice(entries.end(), entries, entry);
    return duplicate(entry->file);
  }

  int raw;
  KJ_SYSCALL(raw = memfd_create("bulkhead-boot", MFD_CLOEXEC | MFD_ALLOW_SEALING), name);
  kj::AutoCloseFd file(raw);
  uint64_t end = 0;
  for (int part : parts) end = append(part, file, (end + 3) / 4 * 4, name);
  KJ_SYSCALL(fcntl(file, F_ADD_SEALS, kSeals), name);
  auto result = duplicate(file);
  keep(Entry{kj::str(name), kj::mv(file), end, timer.now()});
  return result;
}

void SealedFiles::keep(Entry entry) {
  if (entry.size > kMostKeptBytes) return;
  entries.push_back(kj::mv(entry));
  uint64_t total = 0;
  for (auto& each : entries) total += each.size;
  for (; total > kMostKeptBytes; entries.pop_front()) total -= entries.front().size;
  // Others are waited for already; waiting anew for the only one is no harm.
  if (entries.size() == 1) expiry = expire().eagerlyEvaluate(nullptr);
}

kj::Promise<void> SealedFiles::expire() {
  while (!entries.empty()) {
    auto end = entries.front().lastUse + kKeptUnused;
    if (end <= timer.now()) {
      entries.pop_front();
    } else {
      co_await timer.atTime(end);
    }
  }
}

}  // namespace bulkhead
