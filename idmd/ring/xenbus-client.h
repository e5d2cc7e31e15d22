// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/string.h>

namespace bulkhead {

// The little a guest needs of xenstore, over /dev/xen/xenbus: the wire protocol of
// xen/io/xs_wire.h, one request at a time. Relative paths are below the guest's own home.
class XenbusClient {
 public:
  // Borrows `fd`, which must be non-blocking and outlive this object.
  XenbusClient(kj::UnixEventPort& eventPort, int fd);
  KJ_DISALLOW_COPY_AND_MOVE(XenbusClient);

  kj::Promise<kj::String> read(kj::StringPtr path);
  kj::Promise<void> write(kj::StringPtr path, kj::StringPtr value);

  // Removes a node and what is below it. One that does not exist is no error.
  kj::Promise<void> remove(kj::StringPtr path);

 private:
  struct Reply;

  int fd;
  kj::UnixEventPort::FdObserver observer;
  uint32_t lastRequest = 0;

  // `payload` is what follows the header. One request is under way at a time.
  kj::Promise<Reply> request(uint32_t type, kj::Array<kj::byte> payload);
  kj::Promise<void> readFully(kj::ArrayPtr<kj::byte> into);
};

}  // namespace bulkhead
