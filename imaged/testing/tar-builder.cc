// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/tar-builder.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include <kj/debug.h>

#include "imaged/unpack/tar-header.h"

namespace bulkhead::testing {
namespace {

template <size_t size>
void put(char (&field)[size], kj::StringPtr text) {
  KJ_REQUIRE(text.size() <= size, "too long for the field", text);
  memcpy(field, text.begin(), text.size());
}

template <size_t size>
void putOctal(char (&field)[size], uint64_t value) {
  char text[32];
  snprintf(text, sizeof text, "%0*llo", static_cast<int>(size - 1),
           static_cast<unsigned long long>(value));
  memcpy(field, text, size - 1);
}

}  // namespace

TarBuilder& TarBuilder::add(kj::StringPtr path, kj::StringPtr content, Fields fields) {
  UstarHeader header;
  memset(&header, 0, sizeof header);
  put(header.name, path);
  put(header.linkName, fields.link);
  putOctal(header.mode, fields.mode);
  putOctal(header.uid, fields.user);
  putOctal(header.gid, fields.group);
  putOctal(header.size, fields.size.orDefault(content.size()));
  if (fields.sizeField.size() > 0) put(header.size, fields.sizeField);
  putOctal(header.mtime, static_cast<uint64_t>(fields.modified));
  putOctal(header.deviceMajor, fields.deviceMajor);
  putOctal(header.deviceMinor, fields.deviceMinor);
  header.type = fields.type;
  if (fields.magic == "ustar") {
    memcpy(header.magic,
           "ustar\0"
           "00",
           8);
  } else if (fields.magic == "gnu") {
    memcpy(header.magic, "ustar  \0", 8);
  } else if (fields.magic != "v7") {
    put(header.magic, fields.magic);
  }
  memset(header.checksum, ' ', sizeof header.checksum);
  unsigned sum = 0;
  for (size_t i = 0; i < sizeof header; ++i) sum += reinterpret_cast<unsigned char*>(&header)[i];
  snprintf(header.checksum, sizeof header.checksum, "%06o",
           static_cast<unsigned>(static_cast<int>(sum) + fields.checksumError));
  header.checksum[7] = ' ';
  raw(kj::arrayPtr(reinterpret_cast<kj::byte*>(&header), sizeof header));
  raw(content.asBytes());
  while (bytes.size() % kTarBlock != 0) bytes.add(kj::byte{0});
  return *this;
}

TarBuilder& TarBuilder::file(kj::StringPtr path, kj::StringPtr content, uint32_t mode) {
  Fields fields;
  fields.mode = mode;
  return add(path, content, fields);
}

TarBuilder& TarBuilder::directory(kj::StringPtr path, uint32_t mode) {
  Fields fields;
  fields.type = '5';
  fields.mode = mode;
  return add(path, "", fields);
}

TarBuilder& TarBuilder::symlink(kj::StringPtr path, kj::StringPtr target) {
  Fields fields;
  fields.type = '2';
  fields.mode = 0777;
  fields.link = target;
  return add(path, "", fields);
}

TarBuilder& TarBuilder::hardLink(kj::StringPtr path, kj::StringPtr target) {
  Fields fields;
  fields.type = '1';
  fields.link = target;
  return add(path, "", fields);
}

TarBuilder& TarBuilder::pax(std::initializer_list<kj::StringPtr> records) {
  kj::Vector<char> text;
  for (auto record : records) {
    size_t length = record.size() + 2;
    size_t whole = length;
    // The length counts its own digits.
    for (int i = 0; i < 3; ++i) whole = length + kj::str(whole).size();
    text.addAll(kj::str(whole, " ", record, "\n"));
  }
  return rawPax(kj::heapString(text));
}

TarBuilder& TarBuilder::rawPax(kj::StringPtr content, char type) {
  Fields fields;
  fields.type = type;
  return add("PaxHeaders/x", content, fields);
}

TarBuilder& TarBuilder::gnuLong(char type, kj::StringPtr name) {
  Fields fields;
  fields.type = type;
  fields.magic = "gnu";
  auto content = kj::heapString(name.size() + 1);
  memcpy(content.begin(), name.begin(), name.size());
  content[name.size()] = 0;
  return add("././@LongLink", content, fields);
}

TarBuilder& TarBuilder::raw(kj::ArrayPtr<const kj::byte> more) {
  bytes.addAll(more);
  return *this;
}

kj::Array<kj::byte> TarBuilder::finish() {
  for (size_t i = 0; i < 2 * kTarBlock; ++i) bytes.add(kj::byte{0});
  return bytes.releaseAsArray();
}

kj::Array<kj::byte> TarBuilder::cutOff() { return bytes.releaseAsArray(); }

kj::Array<kj::byte> gzip(kj::ArrayPtr<const kj::byte> bytes) {
  z_stream stream{};
  KJ_REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  auto out = kj::heapArray<kj::byte>(deflateBound(&stream, bytes.size()) + 64);
  stream.next_in = const_cast<kj::byte*>(bytes.begin());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.begin();
  stream.avail_out = static_cast<uInt>(out.size());
  KJ_REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  auto result = kj::heapArray(out.slice(0, stream.total_out).asConst());
  deflateEnd(&stream);
  return kj::heapArray<kj::byte>(result.begin(), result.size());
}

kj::Array<kj::byte> zstd(kj::ArrayPtr<const kj::byte> bytes, int windowLog) {
  auto* context = ZSTD_createCCtx();
  KJ_DEFER(ZSTD_freeCCtx(context));
  if (windowLog > 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, windowLog);
    // A frame of known size would be given a smaller window.
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  }
  auto out = kj::heapArray<kj::byte>(ZSTD_compressBound(bytes.size()) + 64);
  ZSTD_outBuffer output{out.begin(), out.size(), 0};
  ZSTD_inBuffer input{bytes.begin(), bytes.size(), 0};
  size_t half = bytes.size() / 2;
  input.size = half;
  while (input.pos < half) ZSTD_compressStream2(context, &output, &input, ZSTD_e_flush);
  input.size = bytes.size();
  size_t left = 1;
  while (left != 0) {
    left = ZSTD_compressStream2(context, &output, &input, ZSTD_e_end);
    KJ_REQUIRE(!ZSTD_isError(left), ZSTD_getErrorName(left));
  }
  return kj::heapArray<kj::byte>(out.begin(), output.pos);
}

}  // namespace bulkhead::testing
