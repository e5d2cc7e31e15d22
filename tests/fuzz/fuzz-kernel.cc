// SPDX-License-Identifier: Apache-2.0
// Kernels: the headers of a bzImage, its payload, the ELF file in it. What comes out is in the
// canonical form or nothing comes out; hvd's own verifier reads it and must not stumble either.
#include "hvd/elf-verifier.h"
#include "imaged/file-bytes.h"
#include "imaged/unpack/kernel-elf.h"
#include "imaged/unpack/kernel-payload.h"
#include "tests/fuzz/scratch-file.h"
#include "tests/fuzz/typed-failure.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead;
  static fuzz::ScratchFile file;
  fuzz::expectTypedFailure([&]() {
    int fd = file.holding(kj::arrayPtr(data, size));
    FileRange elf{0, size};
    KJ_IF_MAYBE (payload, findKernelPayload(fd, size)) {
      elf = {size, expandKernelPayload(fd, *payload, size)};
    }
    uint64_t target = elf.offset + elf.length;
    uint64_t made = writeCanonicalElf(fd, elf, target);
    KJ_SYSCALL(ftruncate(fd, static_cast<off_t>(target + made)));
    linuxRelease(fd, target + made);
    constexpr uint64_t kMostVerified = 4u << 20;
    if (made > kMostVerified) return;
    auto kernel = kj::heapArray<kj::byte>(made);
    readAt(fd, target, kernel);
    hvd::verifyKernel(kernel);
  });
  return 0;
}
