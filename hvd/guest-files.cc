// SPDX-License-Identifier: Apache-2.0
#include "hvd/guest-files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

class UnmapDisposer final : public kj::ArrayDisposer {
 protected:
  void disposeImpl(void* first, size_t, size_t count, size_t, void (*)(void*)) const override {
    munmap(first, count);
  }
};

constexpr UnmapDisposer kUnmap{};

kj::Array<kj::byte> map(int flags, int fd, size_t size) {
  int protection = fd < 0 ? PROT_READ | PROT_WRITE : PROT_READ;
  void* address = mmap(nullptr, size, protection, flags, fd, 0);
  if (address == MAP_FAILED) KJ_FAIL_SYSCALL("mmap", errno, size);
  return kj::Array<kj::byte>(static_cast<kj::byte*>(address), size, kUnmap);
}

bool isSealed(int fd) {
  int seals = fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && (seals & F_SEAL_WRITE) != 0;
}

}  // namespace

kj::Array<const kj::byte> stableBytes(const kj::AutoCloseFd& file, kj::StringPtr what,
                                      uint64_t limit) {
  struct stat stats;
  KJ_SYSCALL(fstat(file.get(), &stats));
  if (!S_ISREG(stats.st_mode)) fail(FailureCode::INVALID, what, "not a regular file");
  if (stats.st_size <= 0 || static_cast<uint64_t>(stats.st_size) > limit) {
    fail(FailureCode::INVALID, what, kj::str("not 1 to ", limit, " bytes long"));
  }
  auto size = static_cast<size_t>(stats.st_size);
  if (isSealed(file.get())) return map(MAP_PRIVATE, file.get(), size);

  auto copy = map(MAP_PRIVATE | MAP_ANONYMOUS, -1, size);
  size_t done = 0;
  while (done < size) {
    ssize_t got;
    KJ_SYSCALL(got = pread(file.get(), copy.slice(done, size).begin(), size - done,
                           static_cast<off_t>(done)));
    if (got == 0) fail(FailureCode::INVALID, what, "it was cut while it was read");
    done += static_cast<size_t>(got);
  }
  return copy;
}

}  // namespace bulkhead::hvd
