// SPDX-License-Identifier: Apache-2.0
// For tests: layers in memory, packed as the unpack worker does it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include <capnp/message.h>
#include <capnp/orphan.h>

#include "imaged/testing/failures.h"
#include "imaged/testing/test-image.h"
#include "imaged/unpack/pack-layers.h"

namespace bulkhead::testing {

kj::AutoCloseFd memoryFile();
std::string contentOf(int fd);

class PackTest : public ::testing::Test {
 public:
  PackTest() : message(kj::heap<capnp::MallocMessageBuilder>()) {}
  ~PackTest() noexcept override {}

 protected:
  using Compression = schema::Layer::Compression;

  TemporaryDirectory directory;
  kj::Vector<PackLayer> layers;
  PackBounds bounds{64u << 20, 10'000};

  // A layer; what its blob and its digests say need not agree.
  void add(kj::ArrayPtr<const kj::byte> blob, kj::ArrayPtr<const kj::byte> tar,
           Compression compression);
  void add(kj::ArrayPtr<const kj::byte> tar);
  void clear();

  PackOutcome pack(TreeWriter& writer);
  std::string squashfs(schema::BlockCompression blocks = schema::BlockCompression::LZ4);
  Failure packFailure();

  // Keeps bytes in a file of the test's directory.
  kj::String save(const std::string& bytes);

  // What unsquashfs sees, one "mode owner size path" a line.
  std::string listing(const std::string& squashfs);

 private:
  kj::Own<capnp::MallocMessageBuilder> message;
  kj::Vector<capnp::Orphan<schema::Layer>> orphans;
};

}  // namespace bulkhead::testing
