// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/io.h>

namespace bulkhead::zone {

enum class InputKind { pipe, terminal };

// A process's standard input, as the one who feeds it sees it.
class InputStream {
 public:
  // `fd` is set non-blocking.
  InputStream(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd, InputKind kind);

  // Resolves when all was taken. Fails with DISCONNECTED when nobody reads any more.
  kj::Promise<void> write(kj::ArrayPtr<const kj::byte> bytes);

  // No more input: closes a pipe, sends a terminal's end-of-file character.
  kj::Promise<void> end();

 private:
  kj::AutoCloseFd fd;
  kj::Maybe<kj::Own<kj::UnixEventPort::FdObserver>> observer;  // goes before the descriptor
  InputKind kind;
};

}  // namespace bulkhead::zone
