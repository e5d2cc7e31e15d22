// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/input-stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <kj/debug.h>

namespace bulkhead::zone {
namespace {

constexpr kj::byte kEndOfTransmission[] = {4};  // Ctrl-D, the default VEOF of termios(3)

}  // namespace

InputStream::InputStream(kj::UnixEventPort& eventPort, kj::AutoCloseFd fdParam, InputKind kindParam)
    : fd(kj::mv(fdParam)),
      observer(kj::heap<kj::UnixEventPort::FdObserver>(
          eventPort, fd.get(), kj::UnixEventPort::FdObserver::OBSERVE_WRITE)),
      kind(kindParam) {
  KJ_SYSCALL(fcntl(fd, F_SETFL, O_NONBLOCK));
}

kj::Promise<void> InputStream::write(kj::ArrayPtr<const kj::byte> bytes) {
  while (bytes.size() > 0) {
    KJ_IF_MAYBE (watch, observer) {
      ssize_t n = ::write(fd, bytes.begin(), bytes.size());
      if (n > 0) {
        bytes = bytes.slice(static_cast<size_t>(n), bytes.size());
      } else if (errno == EAGAIN) {
        co_await (*watch)->whenBecomesWritable();
      } else if (errno != EINTR) {
        kj::throwFatalException(
            KJ_EXCEPTION(DISCONNECTED, "the process reads no more input", strerror(errno)));
      }
    } else {
      kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the input was ended"));
    }
  }
}

kj::Promise<void> InputStream::end() {
  if (kind == InputKind::terminal && observer != nullptr) {
    co_await write(kEndOfTransmission);
  }
  observer = nullptr;
  fd = nullptr;
}

}  // namespace bulkhead::zone
