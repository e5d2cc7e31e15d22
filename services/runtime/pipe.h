// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/io.h>

namespace bulkhead {

// pipe2(2), both ends close-on-exec. Fails with kj::Exception.
struct Pipe {
  kj::AutoCloseFd read;
  kj::AutoCloseFd write;
};

inline Pipe makePipe() {
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
  return {kj::AutoCloseFd(ends[0]), kj::AutoCloseFd(ends[1])};
}

}  // namespace bulkhead
