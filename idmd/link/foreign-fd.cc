// SPDX-License-Identifier: Apache-2.0
#include "idmd/link/foreign-fd.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

using Observer = kj::UnixEventPort::FdObserver;

// What a terminal that is ready at all takes without waiting. Pipes take PIPE_BUF.
constexpr size_t kSmall = 256;

bool neverWaits(int fd) {
  struct stat status;
  KJ_SYSCALL(fstat(fd, &status));
  return S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
}

iovec vectorOf(kj::ArrayPtr<const kj::byte> bytes) {
  return {const_cast<kj::byte*>(bytes.begin()), bytes.size()};
}

[[noreturn]] void failWrite(int error) {
  switch (error) {
    case EPIPE:
    case ECONNRESET:
    case EIO:  // a terminal whose other side is gone
      fail(FailureCode::CANCELLED, "output", "nobody reads it any more");
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      fail(FailureCode::EXHAUSTED, "output", strerror(error));
    default:
      fail(FailureCode::INVALID, "output", kj::str("cannot be written: ", strerror(error)));
  }
}

}  // namespace

ForeignFd::ForeignFd(kj::UnixEventPort& eventPort, kj::AutoCloseFd fdParam, Direction direction)
    : fd(kj::mv(fdParam)), direction(direction) {
  if (neverWaits(fd)) {
    method = Method::plain;
    return;
  }
  uint flags = direction == Direction::reading ? Observer::OBSERVE_READ : Observer::OBSERVE_WRITE;
  KJ_IF_MAYBE (refusal, kj::runCatchingExceptions(
                            [&]() { observer = kj::heap<Observer>(eventPort, fd, flags); })) {
    // Devices that are always ready have nothing to observe.
    (void)refusal;
    method = Method::plain;
  }
}

bool ForeignFd::ready(short events) {
  pollfd entry{fd, events, 0};
  int count;
  KJ_SYSCALL(count = poll(&entry, 1, 0));
  return count > 0;
}

kj::Maybe<size_t> ForeignFd::tryRead(kj::ArrayPtr<kj::byte> into) {
  for (;;) {
    ssize_t count;
    if (method == Method::noWait) {
      iovec vector = vectorOf(into);
      count = preadv2(fd, &vector, 1, -1, RWF_NOWAIT);
      if (count < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS)) {
        method = Method::checkFirst;
        continue;
      }
    } else {
      if (method == Method::checkFirst && !ready(POLLIN)) return nullptr;
      count = ::read(fd, into.begin(), into.size());
    }
    if (count >= 0) return static_cast<size_t>(count);
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return nullptr;
    if (errno == EIO) return size_t{0};
    fail(FailureCode::INVALID, "input", kj::str("cannot be read: ", strerror(errno)));
  }
}

kj::Maybe<size_t> ForeignFd::tryWrite(kj::ArrayPtr<const kj::byte> from) {
  for (;;) {
    ssize_t count;
    if (method == Method::noWait) {
      iovec vector = vectorOf(from);
      count = pwritev2(fd, &vector, 1, -1, RWF_NOWAIT);
      if (count < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS)) {
        method = Method::checkFirst;
        continue;
      }
    } else {
      if (method == Method::checkFirst) {
        if (!ready(POLLOUT)) return nullptr;
        from = from.slice(0, kj::min(from.size(), kSmall));
      }
      count = ::write(fd, from.begin(), from.size());
    }
    if (count >= 0) return static_cast<size_t>(count);
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return nullptr;
    failWrite(errno);
  }
}

kj::Promise<size_t> ForeignFd::read(kj::ArrayPtr<kj::byte> into) {
  KJ_REQUIRE(direction == Direction::reading);
  for (;;) {
    // Asked for before the attempt: an edge between the two is then not lost.
    kj::Promise<void> edge = kj::NEVER_DONE;
    KJ_IF_MAYBE (watched, observer) edge = (*watched)->whenBecomesReadable();
    KJ_IF_MAYBE (count, tryRead(into)) co_return *count;
    co_await edge;
  }
}

kj::Promise<void> ForeignFd::write(kj::ArrayPtr<const kj::byte> from) {
  KJ_REQUIRE(direction == Direction::writing);
  while (from.size() > 0) {
    kj::Promise<void> edge = kj::NEVER_DONE;
    KJ_IF_MAYBE (watched, observer) edge = (*watched)->whenBecomesWritable();
    KJ_IF_MAYBE (count, tryWrite(from)) {
      from = from.slice(*count, from.size());
    } else {
      co_await edge;
    }
  }
}

}  // namespace bulkhead
