// SPDX-License-Identifier: Apache-2.0
// Kernel images, however they are packed, into what hvd takes.
#include <bzlib.h>
#include <lz4hc.h>
#include <lzma.h>
#include <string.h>

#include <kj/debug.h>

#include "hvd/elf-verifier.h"
#include "imaged/testing/pack-fixture.h"
#include "imaged/testing/processes.h"
#include "imaged/testing/tar-builder.h"
#include "imaged/testing/test-kernel.h"
#include "imaged/unpack/tree-writer.h"

namespace bulkhead {
namespace {

using testing::bzImage;
using testing::contentOf;
using testing::failureFrom;
using testing::kernelElf;
using testing::memoryFile;
using testing::TarBuilder;
using Bytes = kj::Array<kj::byte>;
using View = kj::ArrayPtr<const kj::byte>;

constexpr kj::StringPtr kRelease = "6.12.1-zone"_kj;

kj::String text(View bytes) { return kj::heapString(bytes.asChars()); }

// What the kernel's build does for readers that cannot tell the size otherwise.
Bytes withSize(View packed, size_t size) {
  kj::Vector<kj::byte> result;
  result.addAll(packed);
  for (int i = 0; i < 4; ++i) result.add(static_cast<kj::byte>(size >> (8 * i)));
  return result.releaseAsArray();
}

Bytes xz(View plain) {
  auto out = kj::heapArray<kj::byte>(lzma_stream_buffer_bound(plain.size()));
  size_t size = 0;
  KJ_REQUIRE(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, nullptr, plain.begin(), plain.size(),
                                     out.begin(), &size, out.size()) == LZMA_OK);
  return withSize(out.slice(0, size), plain.size());
}

Bytes oldLzma(View plain) {
  lzma_options_lzma options;
  lzma_lzma_preset(&options, 6);
  lzma_stream stream = LZMA_STREAM_INIT;
  KJ_REQUIRE(lzma_alone_encoder(&stream, &options) == LZMA_OK);
  KJ_DEFER(lzma_end(&stream));
  auto out = kj::heapArray<kj::byte>(plain.size() + 4096);
  stream.next_in = plain.begin();
  stream.avail_in = plain.size();
  stream.next_out = out.begin();
  stream.avail_out = out.size();
  KJ_REQUIRE(lzma_code(&stream, LZMA_FINISH) == LZMA_STREAM_END);
  return withSize(out.slice(0, stream.total_out), plain.size());
}

Bytes bzip2(View plain) {
  auto out = kj::heapArray<char>(plain.size() + 4096);
  auto size = static_cast<unsigned>(out.size());
  KJ_REQUIRE(BZ2_bzBuffToBuffCompress(out.begin(), &size,
                                      const_cast<char*>(plain.asChars().begin()),
                                      static_cast<unsigned>(plain.size()), 9, 0, 0) == BZ_OK);
  return withSize(out.asBytes().slice(0, size), plain.size());
}

Bytes lz4(View plain) {
  auto block =
      kj::heapArray<char>(static_cast<size_t>(LZ4_compressBound(static_cast<int>(plain.size()))));
  int size = LZ4_compress_HC(plain.asChars().begin(), block.begin(), static_cast<int>(plain.size()),
                             static_cast<int>(block.size()), 9);
  kj::Vector<kj::byte> out;
  out.addAll("\x02\x21\x4c\x18"_kj.asBytes());
  for (int i = 0; i < 4; ++i) out.add(static_cast<kj::byte>(size >> (8 * i)));
  out.addAll(block.asBytes().slice(0, static_cast<size_t>(size)));
  return withSize(out, plain.size());
}

struct Packing {
  const char* name;
  Bytes (*pack)(View);
};
const Packing kPackings[] = {
    {"gzip", [](View plain) { return testing::gzip(plain); }},
    {"zstd", [](View plain) { return withSize(testing::zstd(plain), plain.size()); }},
    {"xz", xz},
    {"lzma", oldLzma},
    {"bzip2", bzip2},
    {"lz4", lz4},
};

struct Outputs {
  kj::AutoCloseFd image = memoryFile();
  kj::AutoCloseFd addons = memoryFile();
  kj::AutoCloseFd boot = memoryFile();
  kj::AutoCloseFd metadata = memoryFile();
  KernelOutputs all() const { return {image, addons, boot, metadata}; }
};

class KernelTest : public testing::PackTest {
 protected:
  Bytes modules = testing::modulesSquashfs(kRelease);

  TarBuilder tarOf(View image, kj::StringPtr metadata = "A=b\nKERNEL_VERSION=6.12.1-zone\n") {
    TarBuilder tar;
    tar.file("kernel/image", text(image)).file("kernel/metadata", metadata);
    return tar;
  }
  Bytes whole(View image) {
    return tarOf(image).file("kernel/addons.squashfs", text(modules)).finish();
  }
  // The kernel that comes out.
  std::string packed(View tar) {
    clear();
    add(tar);
    Outputs outputs;
    auto writer = makeKernelWriter(outputs.all());
    auto outcome = pack(*writer);
    EXPECT_EQ(writer->kernelVersion(), kRelease);
    auto kernel = contentOf(outputs.image);
    EXPECT_EQ(outcome.bytes, kernel.size() + contentOf(outputs.addons).size() +
                                 contentOf(outputs.boot).size() +
                                 contentOf(outputs.metadata).size());
    return kernel;
  }
  Failure failureOf(View tar) {
    return failureFrom([&]() { packed(tar); });
  }
  FailureCode codeOf(View tar) { return failureOf(tar).code; }
};

hvd::KernelFacts verified(const std::string& kernel) {
  return hvd::verifyKernel(kj::arrayPtr(kernel.data(), kernel.size()).asBytes());
}

TEST_F(KernelTest, EveryPackingBecomesTheCanonicalForm) {
  auto elf = kernelElf(kRelease);
  EXPECT_ANY_THROW(hvd::verifyKernel(elf));
  auto plain = packed(whole(elf));
  auto facts = verified(plain);
  EXPECT_TRUE(facts.pvh);
  EXPECT_EQ(facts.physicalStart, 0x1000000u);
  EXPECT_EQ(facts.physicalEnd, 0x2003000u);
  for (const auto& packing : kPackings) {
    EXPECT_EQ(packed(whole(bzImage(packing.pack(elf)))), plain) << packing.name;
  }
  // What is canonical stays as it is.
  EXPECT_EQ(packed(whole(kj::arrayPtr(plain.data(), plain.size()).asBytes())), plain);
}

TEST_F(KernelTest, DamagedPayloadsAreErrors) {
  auto elf = kernelElf(kRelease);
  for (const auto& packing : kPackings) {
    auto payload = packing.pack(elf);
    for (size_t cut : {payload.size() / 2, payload.size() - 5, payload.size() - 1}) {
      EXPECT_EQ(codeOf(whole(bzImage(payload.slice(0, cut)))), FailureCode::INVALID)
          << packing.name << " cut at " << cut;
    }
    auto damaged = kj::heapArray(payload.asPtr());
    for (size_t i = 20; i < 60; ++i) damaged[i] = static_cast<kj::byte>(~damaged[i]);
    EXPECT_EQ(codeOf(whole(bzImage(damaged))), FailureCode::INVALID) << packing.name;
  }
  EXPECT_EQ(codeOf(whole(bzImage("lzo? no such thing here"_kj.asBytes()))),
            FailureCode::UNSUPPORTED);
  auto image = bzImage(kPackings[0].pack(elf));
  image[0x24e] = 0x7f;  // the payload's length, far beyond the file
  EXPECT_EQ(codeOf(whole(image)), FailureCode::INVALID);
}

TEST_F(KernelTest, BombsAreBounded) {
  auto zeros = kj::heapArray<kj::byte>((256u << 20) + 1);
  memset(zeros.begin(), 0, zeros.size());
  auto failed = failureOf(whole(bzImage(withSize(testing::zstd(zeros), zeros.size()))));
  EXPECT_EQ(failed.code, FailureCode::INVALID);
  EXPECT_TRUE(testing::says(failed, "256 MiB"));
}

TEST_F(KernelTest, PartsMustBelongTogether) {
  auto elf = kernelElf(kRelease);
  EXPECT_TRUE(testing::says(failureOf(whole(kernelElf("6.12.2-zone"))), "6.12.2-zone"));
  auto others = testing::modulesSquashfs("6.12.2-zone");
  auto mixed = tarOf(elf).file("kernel/addons.squashfs", text(others)).finish();
  EXPECT_TRUE(testing::says(failureOf(mixed), "another kernel"));
  auto broken = tarOf(elf).file("kernel/addons.squashfs", "hsqs and no more").finish();
  EXPECT_EQ(codeOf(broken), FailureCode::INVALID);

  auto withBoot = [&](kj::StringPtr modinfo) {
    return tarOf(elf)
        .file("kernel/addons.squashfs", text(modules))
        .file("kernel/boot.cpio", modinfo)
        .finish();
  };
  packed(withBoot("..vermagic=6.12.1-zone SMP..vermagic=6.12.1-zone SMP.."));
  EXPECT_EQ(codeOf(withBoot("..vermagic=6.12.1-zone SMP..vermagic=6.12.1-zone2 SMP")),
            FailureCode::INVALID);
  EXPECT_EQ(codeOf(withBoot("..vermagic=6.1")), FailureCode::INVALID);
}

TEST_F(KernelTest, PartsMustBeThere) {
  auto elf = text(kernelElf(kRelease));
  auto addons = text(modules);
  auto metadata = [&](kj::StringPtr words) {
    return tarOf(elf.asBytes(), words).file("kernel/addons.squashfs", addons).finish();
  };
  EXPECT_EQ(codeOf(metadata("NOTHING=1\n")), FailureCode::INVALID);
  EXPECT_EQ(codeOf(metadata("KERNEL_VERSION=6/../x\n")), FailureCode::INVALID);
  EXPECT_EQ(codeOf(whole("MZ, and no kernel"_kj.asBytes())), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder().file("kernel/image", elf).finish()), FailureCode::INVALID);
  EXPECT_EQ(codeOf(TarBuilder()
                       .symlink("kernel/image", "/etc/shadow")
                       .file("kernel/metadata", "KERNEL_VERSION=6\n")
                       .file("kernel/addons.squashfs", addons)
                       .finish()),
            FailureCode::INVALID);
}

// Every byte of the headers wrong in turn: an error or a kernel that hvd takes, never a crash and
// never one that hvd refuses for its form.
TEST_F(KernelTest, WrongHeadersNeverPass) {
  auto elf = kernelElf(kRelease);
  for (size_t at = 0; at < 0x200 + 4 * 56; at = at == 63 ? 0x200 : at + 1) {
    auto wrong = kj::heapArray(elf.asPtr());
    wrong[at] ^= 0x41;
    try {
      auto kernel = packed(whole(wrong));
      try {
        verified(kernel);
      } catch (const kj::Exception& e) {
        // Addresses are hvd's to judge; the form is not in question.
        EXPECT_TRUE(testing::says(bulkhead::failureOf(e), "entry") ||
                    testing::says(bulkhead::failureOf(e), "memory") ||
                    testing::says(bulkhead::failureOf(e), "note") ||
                    testing::says(bulkhead::failureOf(e), "overflow"))
            << at << ": " << bulkhead::failureOf(e).describe().cStr();
      }
    } catch (const kj::Exception& e) {
      auto code = bulkhead::failureOf(e).code;
      EXPECT_TRUE(code == FailureCode::INVALID || code == FailureCode::UNSUPPORTED) << at;
    }
  }
}

}  // namespace
}  // namespace bulkhead
