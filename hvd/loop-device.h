// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/string.h>

#include "hvd/domain-config.h"

namespace bulkhead::hvd {

// A block device that a disk image is reached through. The device goes by itself when the last
// descriptor of it is closed (LO_FLAGS_AUTOCLEAR): `holder` keeps it until blkback has opened it,
// and after that blkback does too, so that nothing has to be undone after a crash. blkback tells
// nobody when it opens it, hence the holder is kept as long as the disk.
struct BlockDevice {
  uint32_t major;
  uint32_t minor;
  kj::Maybe<uint32_t> loop;  // its number, where it is a loop device
  kj::AutoCloseFd holder;
};

// Turns images into block devices. Holds /dev/loop-control; opens /dev/loopN as it goes.
class LoopDevices {
 public:
  // Opens /dev/loop-control. Throws where the loop module is not loaded.
  LoopDevices();
  KJ_DISALLOW_COPY_AND_MOVE(LoopDevices);

  // A regular file gets a loop device of 4096-byte blocks, with direct I/O where its file system
  // can; a block device is taken as it is. Fails with `invalid` for a file that is not a multiple
  // of 4096 bytes, or writable access to a descriptor that is not, and `exhausted` where there is
  // no loop device left. `name` is the disk's.
  BlockDevice attach(kj::AutoCloseFd image, Access access, kj::StringPtr name);

 private:
  kj::AutoCloseFd control;

  kj::Maybe<kj::AutoCloseFd> tryConfigure(uint32_t number, int image, Access access,
                                          kj::StringPtr name);
};

}  // namespace bulkhead::hvd
