// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/kernel-payload.h"

#include <bzlib.h>
#include <isa-l/igzip_lib.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <zstd.h>

#include <kj/debug.h>

#include "imaged/file-bytes.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kBuffer = 256u << 10;
// The kernel's build gives xz a dictionary of 32 MiB and zstd a window of 128 MiB at most.
constexpr uint64_t kMostDecoderMemory = 160u << 20;
constexpr int kMostWindowLog = 27;
// lz4's legacy frame: blocks of 8 MiB before compression.
constexpr size_t kLz4Block = 8u << 20;
constexpr kj::byte kLz4Magic[] = {0x02, 0x21, 0x4c, 0x18};

[[noreturn]] void reject(kj::StringPtr why) {
  fail(FailureCode::INVALID, "kernel/image", kj::str("the compressed kernel ", why));
}

// The compressed bytes, a buffer at a time.
class Input {
 public:
  Input(int file, FileRange range)
      : file(file), range(range), buffer(kj::heapArray<kj::byte>(kBuffer)) {}

  bool atEnd() const { return range.length == 0; }

  // The next bytes; none at the end.
  kj::ArrayPtr<kj::byte> next() { return take(kj::min(buffer.size(), range.length), buffer); }

  // Exactly so many bytes.
  kj::ArrayPtr<kj::byte> take(uint64_t count, kj::ArrayPtr<kj::byte> into) {
    if (count > range.length) reject("is cut off");
    auto bytes = into.slice(0, count);
    readAt(file, range.offset, bytes);
    range.offset += count;
    range.length -= count;
    return bytes;
  }

 private:
  int file;
  FileRange range;
  kj::Array<kj::byte> buffer;
};

class Output {
 public:
  Output(int file, uint64_t target)
      : file(file), target(target), buffer(kj::heapArray<kj::byte>(kBuffer)) {}

  // For the decoder to fill.
  kj::ArrayPtr<kj::byte> room() { return buffer; }
  void filled(size_t bytes) { add(buffer.slice(0, bytes)); }

  void add(kj::ArrayPtr<const kj::byte> bytes) {
    if (bytes.size() > kMostKernelBytes - written) reject("expands to more than 256 MiB");
    writeAt(file, target + written, bytes);
    written += bytes.size();
  }
  uint64_t size() const { return written; }

 private:
  int file;
  uint64_t target;
  uint64_t written = 0;
  kj::Array<kj::byte> buffer;
};

void expandGzip(Input& input, Output& output) {
  auto state = kj::heap<inflate_state>();
  isal_inflate_init(state.get());
  state->crc_flag = ISAL_GZIP;
  while (state->block_state != ISAL_BLOCK_FINISH) {
    if (state->avail_in == 0) {
      auto bytes = input.next();
      state->next_in = bytes.begin();
      state->avail_in = static_cast<uint32_t>(bytes.size());
    }
    bool starved = state->avail_in == 0;
    auto room = output.room();
    state->next_out = room.begin();
    state->avail_out = static_cast<uint32_t>(room.size());
    if (isal_inflate(state.get()) != ISAL_DECOMP_OK) reject("is damaged");
    size_t made = room.size() - state->avail_out;
    if (starved && made == 0 && state->block_state != ISAL_BLOCK_FINISH) reject("is cut off");
    output.filled(made);
  }
}

void expandZstd(Input& input, Output& output) {
  auto* context = ZSTD_createDCtx();
  KJ_REQUIRE(context != nullptr, "no memory to decompress");
  KJ_DEFER(ZSTD_freeDCtx(context));
  ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, kMostWindowLog);
  ZSTD_inBuffer in{nullptr, 0, 0};
  for (size_t left = 1; left != 0;) {
    if (in.pos == in.size) {
      auto bytes = input.next();
      in = {bytes.begin(), bytes.size(), 0};
    }
    bool starved = in.size == 0;
    auto room = output.room();
    ZSTD_outBuffer out{room.begin(), room.size(), 0};
    left = ZSTD_decompressStream(context, &out, &in);
    if (ZSTD_isError(left)) reject(kj::str("is damaged: ", ZSTD_getErrorName(left)));
    if (starved && out.pos == 0 && left != 0) reject("is cut off");
    output.filled(out.pos);
  }
}

void expandLzma(Input& input, Output& output, lzma_stream& stream) {
  KJ_DEFER(lzma_end(&stream));
  for (;;) {
    if (stream.avail_in == 0) {
      auto bytes = input.next();
      stream.next_in = bytes.begin();
      stream.avail_in = bytes.size();
    }
    auto room = output.room();
    stream.next_out = room.begin();
    stream.avail_out = room.size();
    auto result = lzma_code(&stream, input.atEnd() ? LZMA_FINISH : LZMA_RUN);
    output.filled(room.size() - stream.avail_out);
    if (result == LZMA_STREAM_END) return;
    if (result == LZMA_MEMLIMIT_ERROR) reject("asks for too much memory");
    if (result == LZMA_BUF_ERROR) reject("is cut off");
    if (result != LZMA_OK) reject(kj::str("is damaged (error ", static_cast<int>(result), ")"));
  }
}

void expandXz(Input& input, Output& output) {
  lzma_stream stream = LZMA_STREAM_INIT;
  KJ_REQUIRE(lzma_stream_decoder(&stream, kMostDecoderMemory, 0) == LZMA_OK);
  expandLzma(input, output, stream);
}

void expandOldLzma(Input& input, Output& output) {
  lzma_stream stream = LZMA_STREAM_INIT;
  KJ_REQUIRE(lzma_alone_decoder(&stream, kMostDecoderMemory) == LZMA_OK);
  expandLzma(input, output, stream);
}

void expandBzip2(Input& input, Output& output) {
  bz_stream stream{};
  KJ_REQUIRE(BZ2_bzDecompressInit(&stream, 0, 0) == BZ_OK, "no memory to decompress");
  KJ_DEFER(BZ2_bzDecompressEnd(&stream));
  for (;;) {
    if (stream.avail_in == 0) {
      auto bytes = input.next();
      stream.next_in = bytes.asChars().begin();
      stream.avail_in = static_cast<unsigned>(bytes.size());
    }
    bool starved = stream.avail_in == 0;
    auto room = output.room();
    stream.next_out = room.asChars().begin();
    stream.avail_out = static_cast<unsigned>(room.size());
    int result = BZ2_bzDecompress(&stream);
    size_t made = room.size() - stream.avail_out;
    output.filled(made);
    if (result == BZ_STREAM_END) return;
    if (result != BZ_OK) reject(kj::str("is damaged (error ", result, ")"));
    if (starved && made == 0) reject("is cut off");
  }
}

uint32_t littleEndian(kj::ArrayPtr<const kj::byte> bytes) {
  return uint32_t{bytes[0]} | uint32_t{bytes[1]} << 8 | uint32_t{bytes[2]} << 16 |
         uint32_t{bytes[3]} << 24;
}

void expandLz4(Input& input, Output& output) {
  auto compressed = kj::heapArray<kj::byte>(static_cast<size_t>(LZ4_compressBound(kLz4Block)));
  auto plain = kj::heapArray<kj::byte>(kLz4Block);
  kj::byte word[4];
  input.take(sizeof word, word);
  while (!input.atEnd()) {
    size_t size = littleEndian(input.take(sizeof word, word));
    if (memcmp(word, kLz4Magic, sizeof word) == 0) continue;
    if (size > compressed.size()) reject("has a block that is too large");
    auto block = input.take(size, compressed);
    int made = LZ4_decompress_safe(block.asChars().begin(), plain.asChars().begin(),
                                   static_cast<int>(size), static_cast<int>(plain.size()));
    if (made < 0) reject("is damaged");
    output.add(plain.slice(0, static_cast<size_t>(made)));
  }
}

struct Codec {
  kj::StringPtr magic;
  enum class Trailer { none, size } trailer;  // a size that the kernel's build appends
  void (*expand)(Input&, Output&);
};
const Codec kCodecs[] = {
    {"\x1f\x8b"_kj, Codec::Trailer::none, expandGzip},
    {"\x28\xb5\x2f\xfd"_kj, Codec::Trailer::size, expandZstd},
    {"\xfd"
     "7zXZ"_kj,
     Codec::Trailer::size, expandXz},
    {kj::StringPtr("\x5d\0\0", 3), Codec::Trailer::size, expandOldLzma},
    {"\x02\x21\x4c\x18"_kj, Codec::Trailer::size, expandLz4},
    {"BZh"_kj, Codec::Trailer::size, expandBzip2},
};

}  // namespace

kj::Maybe<FileRange> findKernelPayload(int file, uint64_t size) {
  constexpr size_t kHead = 0x250;
  constexpr uint64_t kSector = 512;
  if (size < kHead) return nullptr;
  kj::byte head[kHead];
  readAt(file, 0, head);
  if (head[0x1fe] != 0x55 || head[0x1ff] != 0xaa || memcmp(&head[0x202], "HdrS", 4) != 0) {
    return nullptr;
  }
  auto word = [&](size_t at) { return littleEndian(kj::arrayPtr(head, kHead).slice(at, at + 4)); };
  if ((word(0x206) & 0xffff) < 0x208) {
    fail(FailureCode::UNSUPPORTED, "kernel/image", "the kernel's boot protocol is before 2.08");
  }
  uint64_t sectors = head[0x1f1] == 0 ? 4 : head[0x1f1];
  FileRange range{(sectors + 1) * kSector + word(0x248), word(0x24c)};
  if (range.length < 16 || range.offset > size || range.length > size - range.offset) {
    reject("lies outside the file");
  }
  return range;
}

uint64_t expandKernelPayload(int file, FileRange payload, uint64_t target) {
  kj::byte start[8];
  readAt(file, payload.offset, start);
  for (const auto& codec : kCodecs) {
    if (memcmp(start, codec.magic.begin(), codec.magic.size()) != 0) continue;
    FileRange data = payload;
    kj::Maybe<uint64_t> promised;
    if (codec.trailer == Codec::Trailer::size) {
      data.length -= 4;
      kj::byte trailer[4];
      readAt(file, data.offset + data.length, trailer);
      promised = littleEndian(trailer);
    }
    Input input(file, data);
    Output output(file, target);
    codec.expand(input, output);
    if (promised.orDefault(output.size()) != output.size()) {
      reject("expands to another size than it says");
    }
    return output.size();
  }
  fail(FailureCode::UNSUPPORTED, "kernel/image",
       "the kernel is compressed in a way that is not known");
}

}  // namespace bulkhead
