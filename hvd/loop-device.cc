// SPDX-License-Identifier: Apache-2.0
#include "hvd/loop-device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

constexpr uint32_t kBlockBytes = 4096;

// Others on the host take loop devices too: one that was free may be theirs a moment later.
constexpr int kRaces = 64;

void requireAccess(int image, Access access, kj::StringPtr name) {
  int flags;
  KJ_SYSCALL(flags = fcntl(image, F_GETFL));
  int mode = flags & O_ACCMODE;
  if (mode == O_WRONLY || (access == Access::READ_WRITE && mode != O_RDWR)) {
    fail(FailureCode::INVALID, name, "the image's descriptor does not allow the access asked for");
  }
}

}  // namespace

LoopDevices::LoopDevices() {
  int fd;
  KJ_SYSCALL(fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC),
             "is the loop module loaded, and are we in the group of its nodes?");
  control = kj::AutoCloseFd(fd);
}

kj::Maybe<kj::AutoCloseFd> LoopDevices::tryConfigure(uint32_t number, int image, Access access,
                                                     kj::StringPtr name) {
  auto path = kj::str("/dev/loop", number);
  int mode = access == Access::READ_ONLY ? O_RDONLY : O_RDWR;
  int fd;
  KJ_SYSCALL(fd = open(path.cStr(), mode | O_CLOEXEC), path);
  kj::AutoCloseFd device(fd);

  loop_config config{};
  config.fd = static_cast<uint32_t>(image);
  config.block_size = kBlockBytes;
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
  if (access == Access::READ_ONLY) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
  strncpy(reinterpret_cast<char*>(config.info.lo_file_name), name.cStr(), LO_NAME_SIZE - 1);
  if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return kj::mv(device);
  if (errno == EINVAL) {
    // A file system without direct I/O, such as tmpfs.
    config.info.lo_flags &= ~static_cast<uint32_t>(LO_FLAGS_DIRECT_IO);
    if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return kj::mv(device);
  }
  if (errno == EBUSY) return nullptr;
  KJ_FAIL_SYSCALL("LOOP_CONFIGURE", errno, path);
}

BlockDevice LoopDevices::attach(kj::AutoCloseFd image, Access access, kj::StringPtr name) {
  requireAccess(image.get(), access, name);
  struct stat stats;
  KJ_SYSCALL(fstat(image.get(), &stats));
  if (S_ISBLK(stats.st_mode)) {
    return {major(stats.st_rdev), minor(stats.st_rdev), nullptr, kj::mv(image)};
  }
  if (!S_ISREG(stats.st_mode)) {
    fail(FailureCode::INVALID, name, "the image is neither a regular file nor a block device");
  }
  if (stats.st_size <= 0 || stats.st_size % kBlockBytes != 0) {
    fail(FailureCode::INVALID, name, "the image is not a multiple of 4096 bytes");
  }
  for (int race = 0; race < kRaces; ++race) {
    int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) break;
    KJ_IF_MAYBE (device, tryConfigure(static_cast<uint32_t>(number), image.get(), access, name)) {
      struct stat node;
      KJ_SYSCALL(fstat(device->get(), &node));
      return {major(node.st_rdev), minor(node.st_rdev), static_cast<uint32_t>(number),
              kj::mv(*device)};
    }
  }
  fail(FailureCode::EXHAUSTED, "loop devices", "none is left on this host");
}

}  // namespace bulkhead::hvd
