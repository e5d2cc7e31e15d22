// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/io.h>

namespace bulkhead {

// A descriptor that somebody else uses too: a client's pipe, terminal, socket or file. Whether it
// blocks is a property that all its holders share, so it is never changed here; instead each
// operation asks not to wait (RWF_NOWAIT), and where the kernel has no such thing for the kind of
// descriptor (terminals) readiness is checked just before a small operation.
class ForeignFd {
 public:
  enum class Direction : uint8_t { reading, writing };

  // Takes over `fd`.
  ForeignFd(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd, Direction direction);
  KJ_DISALLOW_COPY_AND_MOVE(ForeignFd);

  // Resolves to 1 or more bytes, or 0 at the end of file. Throws where reading fails. A terminal
  // that hung up is at its end.
  kj::Promise<size_t> read(kj::ArrayPtr<kj::byte> into);

  // Resolves once all is written. Fails with `cancelled` when nobody reads any more, with
  // `exhausted` when the file system is full.
  kj::Promise<void> write(kj::ArrayPtr<const kj::byte> from);

 private:
  kj::AutoCloseFd fd;
  Direction direction;
  // None for what epoll refuses and what never waits: regular files, /dev/null.
  kj::Maybe<kj::Own<kj::UnixEventPort::FdObserver>> observer;
  enum class Method : uint8_t { noWait, checkFirst, plain } method = Method::noWait;

  // Tries once; none when it would have to wait.
  kj::Maybe<size_t> tryRead(kj::ArrayPtr<kj::byte> into);
  kj::Maybe<size_t> tryWrite(kj::ArrayPtr<const kj::byte> from);

  bool ready(short events);
};

}  // namespace bulkhead
