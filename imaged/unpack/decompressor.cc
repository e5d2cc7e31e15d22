// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/decompressor.h"

#include <isa-l/igzip_lib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kBuffer = 256u << 10;
constexpr int kMostWindowLog = 23;

class Plain final : public Decompressor {
 public:
  explicit Plain(BlobSource& source) : source(source) {}

  size_t read(kj::ArrayPtr<kj::byte> out) override {
    auto in = source.peek();
    size_t count = kj::min(in.size(), out.size());
    memcpy(out.begin(), in.begin(), count);
    source.consume(count);
    return count;
  }

 private:
  BlobSource& source;
};

// RFC 1952: one or more members, back to back.
class Gzip final : public Decompressor {
 public:
  explicit Gzip(BlobSource& source) : source(source), state(kj::heap<inflate_state>()) { start(); }

  size_t read(kj::ArrayPtr<kj::byte> out) override {
    for (;;) {
      if (state->block_state == ISAL_BLOCK_FINISH) {
        if (source.peek().size() == 0) return 0;
        start();
      }
      auto in = source.peek();
      // The library takes the input as non-const and does not write to it.
      state->next_in = const_cast<uint8_t*>(in.begin());
      state->avail_in = static_cast<uint32_t>(in.size());
      state->next_out = out.begin();
      state->avail_out = static_cast<uint32_t>(out.size());
      int result = isal_inflate(state.get());
      if (result != ISAL_DECOMP_OK) reject(kj::str("is damaged (error ", result, ")"));
      source.consume(in.size() - state->avail_in);
      size_t produced = out.size() - state->avail_out;
      if (produced > 0) return produced;
      if (in.size() == 0 && state->block_state != ISAL_BLOCK_FINISH) reject("is cut off");
    }
  }

 private:
  BlobSource& source;
  kj::Own<inflate_state> state;

  void start() {
    isal_inflate_init(state.get());
    state->crc_flag = ISAL_GZIP;
  }
  [[noreturn]] void reject(kj::StringPtr why) {
    fail(FailureCode::INVALID, source.subject(), kj::str("the gzip stream ", why));
  }
};

class Zstd final : public Decompressor {
 public:
  explicit Zstd(BlobSource& source) : source(source), context(ZSTD_createDCtx()) {
    KJ_REQUIRE(context != nullptr, "no memory to decompress");
    check(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, kMostWindowLog));
  }
  ~Zstd() noexcept(false) override { ZSTD_freeDCtx(context); }
  KJ_DISALLOW_COPY_AND_MOVE(Zstd);

  size_t read(kj::ArrayPtr<kj::byte> out) override {
    for (;;) {
      auto bytes = source.peek();
      if (bytes.size() == 0 && frameComplete) return 0;
      ZSTD_inBuffer in{bytes.begin(), bytes.size(), 0};
      ZSTD_outBuffer result{out.begin(), out.size(), 0};
      frameComplete = check(ZSTD_decompressStream(context, &result, &in)) == 0;
      source.consume(in.pos);
      if (result.pos > 0) return result.pos;
      if (bytes.size() == 0 && !frameComplete) {
        fail(FailureCode::INVALID, source.subject(), "the zstd stream is cut off");
      }
    }
  }

 private:
  BlobSource& source;
  ZSTD_DCtx* context;
  bool frameComplete = true;

  size_t check(size_t result) {
    if (ZSTD_isError(result)) {
      fail(FailureCode::INVALID, source.subject(),
           kj::str("the zstd stream is damaged or asks for too much memory: ",
                   ZSTD_getErrorName(result)));
    }
    return result;
  }
};

}  // namespace

BlobSource::BlobSource(BlobFile file, uint64_t size, kj::String subject)
    : file(file), size(size), name(kj::mv(subject)), buffer(kj::heapArray<kj::byte>(kBuffer)) {}

// None at the end of the file, and then nothing will be added.
size_t BlobSource::readMore(kj::ArrayPtr<kj::byte> into) {
  for (;;) {
    // In this order: what was written before the pipe's end must be found after it.
    bool complete = file.arrival < 0;
    ssize_t count;
    KJ_SYSCALL(count = pread(file.file, into.begin(), into.size(),
                             static_cast<off_t>(position.load(std::memory_order_relaxed))));
    if (count > 0 || complete) return static_cast<size_t>(count);
    kj::byte news[64];
    ssize_t told;
    KJ_SYSCALL(told = read(file.arrival, news, sizeof news));
    if (told == 0) file.arrival = -1;
  }
}

kj::ArrayPtr<const kj::byte> BlobSource::peek() {
  uint64_t at = consumed();
  if (taken == filled && at < size) {
    taken = 0;
    filled = readMore(buffer.slice(0, kj::min(buffer.size(), size - at)));
    position.store(at + filled, std::memory_order_relaxed);
  }
  return buffer.slice(taken, filled);
}

void BlobSource::consume(size_t count) {
  KJ_REQUIRE(count <= filled - taken);
  taken += count;
}

void BlobSource::finish() {
  for (;;) {
    auto rest = peek();
    if (rest.size() == 0) break;
    consume(rest.size());
  }
  kj::byte beyond[1];
  size_t more = readMore(beyond);
  if (consumed() != size || more != 0) {
    fail(FailureCode::DIGEST_MISMATCH, name,
         kj::str("the blob has ", more != 0 ? "more than " : "", consumed(), " bytes, not ", size));
  }
}

kj::Own<Decompressor> makeDecompressor(schema::Layer::Compression compression, BlobSource& source) {
  switch (compression) {
    case schema::Layer::Compression::NONE:
      return kj::heap<Plain>(source);
    case schema::Layer::Compression::GZIP:
      return kj::heap<Gzip>(source);
    case schema::Layer::Compression::ZSTD:
      return kj::heap<Zstd>(source);
  }
  fail(FailureCode::UNSUPPORTED, source.subject(), "the layer's compression is not served");
}

}  // namespace bulkhead
