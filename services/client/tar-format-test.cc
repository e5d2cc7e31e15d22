// SPDX-License-Identifier: Apache-2.0
#include "services/client/tar-format.h"

#include <string>

#include <gtest/gtest.h>
#include <kj/exception.h>

namespace bulkhead {
namespace {

std::string text(kj::ArrayPtr<const kj::byte> header, size_t begin, size_t size) {
  return {reinterpret_cast<const char*>(header.begin()) + begin, size};
}

TEST(TarHeader, FieldsAndChecksum) {
  auto header = tarHeader("blobs/sha256/12ab", 1025);
  ASSERT_EQ(header.size(), kTarRecord);
  EXPECT_EQ(text(header, 0, 18), std::string("blobs/sha256/12ab\0", 18));
  EXPECT_EQ(text(header, 100, 8), std::string("0000644\0", 8));
  EXPECT_EQ(text(header, 124, 12), std::string("00000002001\0", 12));
  EXPECT_EQ(text(header, 156, 1), "0");
  EXPECT_EQ(text(header, 257, 8), std::string("ustar\0"
                                              "00",
                                              8));
  uint64_t sum = 0;
  for (size_t i = 0; i < header.size(); ++i) sum += i >= 148 && i < 156 ? ' ' : header[i];
  EXPECT_EQ(std::stoull(text(header, 148, 6), nullptr, 8), sum);
  EXPECT_EQ(tarPadding(1025), 511u);
  EXPECT_EQ(tarPadding(1024), 0u);
}

TEST(TarHeader, SizesBeyondOctal) {
  auto largest = tarHeader("f", (uint64_t{1} << 33) - 1);
  EXPECT_EQ(text(largest, 124, 12), std::string("77777777777\0", 12));
  auto beyond = tarHeader("f", uint64_t{1} << 33);
  EXPECT_EQ(beyond[124], 0x80);
  EXPECT_EQ(text(beyond, 125, 11), std::string("\0\0\0\0\0\0\2\0\0\0\0", 11));
}

TEST(TarHeader, ALongNameStandsInAnExtendedHeader) {
  std::string path(101, 'x');
  auto blocks = tarHeader(path.c_str(), 5);
  ASSERT_EQ(blocks.size(), 3 * kTarRecord);
  EXPECT_EQ(text(blocks, 156, 1), "x");
  // Three digits, a space, "path=", the name and the end of the line.
  EXPECT_EQ(text(blocks, kTarRecord, 112), "111 path=" + path + "\n" + std::string(1, '\0'));
  EXPECT_EQ(text(blocks, 124, 12), std::string("00000000157\0", 12));
  EXPECT_EQ(text(blocks, 2 * kTarRecord + 156, 1), "0");
  EXPECT_EQ(text(blocks, 2 * kTarRecord + 124, 12), std::string("00000000005\0", 12));
}

TEST(TarHeader, ANameBeyondOneBlockIsAnError) {
  EXPECT_THROW(tarHeader(std::string(256, 'x').c_str(), 0), kj::Exception);
}

}  // namespace
}  // namespace bulkhead
