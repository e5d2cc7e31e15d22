// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/common.h>
#include <kj/string.h>

namespace bulkhead {

// What a kernel may have in memory; no more is ever made of a compressed one.
constexpr uint64_t kMostKernelBytes = uint64_t{256} << 20;

// A part of a file.
struct FileRange {
  uint64_t offset;
  uint64_t length;
};

// Where a Linux bzImage keeps its compressed kernel (Documentation/arch/x86/boot.rst, protocol 2.08
// or later); none where the file is no bzImage. `size` is the file's. Fails with `invalid` where
// the header points outside the file.
kj::Maybe<FileRange> findKernelPayload(int file, uint64_t size);

// Decompresses a payload (gzip, bzip2, lzma, xz, lz4, zstd) to `target` of the same file, beyond
// the payload. Returns the bytes written. Fails with `invalid` where it is damaged or expands to
// more than kMostKernelBytes, `unsupported` where it is of another kind.
uint64_t expandKernelPayload(int file, FileRange payload, uint64_t target);

}  // namespace bulkhead
