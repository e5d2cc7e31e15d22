// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/io.h>

#include "schemas/common.capnp.h"

namespace bulkhead {

// Bytes of one `ByteStream.write`, and of one read of a pump.
constexpr size_t kStreamChunk = 64u << 10;

// A stream that writes what it gets to a descriptor, which is closed at `end` or when the stream is
// dropped.
schema::ByteStream::Client makeFdWriter(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd);

// Reads a descriptor to its end into a stream and ends the stream.
kj::Promise<void> pumpFd(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd,
                         schema::ByteStream::Client into);

}  // namespace bulkhead
