// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include <kj/array.h>
#include <kj/memory.h>
#include <kj/string.h>

#include "schemas/image-worker.capnp.h"

namespace bulkhead {

// Where a blob lies. Borrowed descriptors.
struct BlobFile {
  int file;

  // Of a blob that is still being written: a blocking pipe that yields a byte or more after the
  // file has grown, and its end when nothing will be added. -1: the blob is complete.
  int arrival = -1;
};

// A blob's bytes as they lie in its file. They are not hashed: whoever put them there has done
// that, and what comes out of them is.
class BlobSource {
 public:
  // `subject` names the layer in errors.
  BlobSource(BlobFile file, uint64_t size, kj::String subject);

  // The bytes at hand; none at the end of the file or after `size` bytes.
  kj::ArrayPtr<const kj::byte> peek();
  void consume(size_t count);

  // Passes over what is left. Fails with `digestMismatch` when the file has not exactly `size`
  // bytes.
  void finish();

  // How much was read. May be asked from another thread.
  uint64_t consumed() const { return position.load(std::memory_order_relaxed); }
  kj::StringPtr subject() const { return name; }

 private:
  BlobFile file;
  const uint64_t size;
  kj::String name;
  kj::Array<kj::byte> buffer;
  size_t taken = 0;
  size_t filled = 0;
  std::atomic<uint64_t> position = 0;

  size_t readMore(kj::ArrayPtr<kj::byte> into);
};

// A stream of bytes taken out of its compression.
class Decompressor {
 public:
  virtual ~Decompressor() noexcept(false) {}

  // Fills a part of `out`; 0 only at the end of the stream. Everything in the source belongs to the
  // stream: whatever follows a member or frame must be another one. Fails with `invalid`.
  virtual size_t read(kj::ArrayPtr<kj::byte> out) = 0;
};

// `source` is borrowed. Windows larger than 8 MiB are refused (RFC 8878, 3.1.1.1.2).
kj::Own<Decompressor> makeDecompressor(schema::Layer::Compression compression, BlobSource& source);

}  // namespace bulkhead
