// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/disk-wait.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/io.h>

#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

kj::Promise<void> watch(kj::UnixEventPort& eventPort, kj::String directory, kj::String path) {
  int raw;
  KJ_SYSCALL(raw = inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  kj::AutoCloseFd fd(raw);
  KJ_SYSCALL(inotify_add_watch(fd, directory.cStr(), IN_CREATE | IN_MOVED_TO));
  kj::UnixEventPort::FdObserver observer(eventPort, fd,
                                         kj::UnixEventPort::FdObserver::OBSERVE_READ);
  for (;;) {
    auto readable = observer.whenBecomesReadable();
    char buffer[4096];
    while (read(fd, buffer, sizeof buffer) > 0) {
    }
    if (access(path.cStr(), F_OK) == 0) co_return;
    co_await readable;
  }
}

kj::Promise<void> expire(kj::Timer& timer, kj::String disk, kj::Duration deadline) {
  co_await timer.afterDelay(deadline);
  fail(FailureCode::NOT_FOUND, disk, kj::str("no such disk appeared within ", deadline),
       "is it attached to the zone?");
}

}  // namespace

kj::Promise<void> whenDiskIsThere(kj::UnixEventPort& eventPort, kj::Timer& timer,
                                  kj::StringPtr directory, kj::StringPtr disk,
                                  kj::Duration deadline) {
  auto path = kj::str(directory, "/", disk);
  if (access(path.cStr(), F_OK) == 0) return kj::READY_NOW;
  return watch(eventPort, kj::str(directory), kj::mv(path))
      .exclusiveJoin(expire(timer, kj::str(disk), deadline));
}

}  // namespace bulkhead::zone
