// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/sparse-map.h"

namespace bulkhead {
namespace {

constexpr size_t kMostPieces = size_t{1} << 18;
constexpr size_t kField = 12;
constexpr uint64_t kMostOffset = uint64_t{1} << 62;

}  // namespace

bool SparseMap::add(uint64_t offset, uint64_t length) {
  if (offset < end || offset > kMostOffset || length > kMostOffset) return false;
  if (pieces.size() == kMostPieces) return false;
  end = offset + length;
  held += length;
  pieces.add(Piece{offset, length});
  return true;
}

bool SparseMap::addFields(kj::ArrayPtr<const char> fields) {
  for (size_t i = 0; i + 2 * kField <= fields.size(); i += 2 * kField) {
    if (fields[i] == 0) return true;
    auto offset = tarNumber(fields.slice(i, i + kField));
    auto length = tarNumber(fields.slice(i + kField, i + 2 * kField));
    int64_t from = offset.orDefault(-1);
    int64_t size = length.orDefault(-1);
    if (from < 0 || size < 0) return false;
    if (!add(static_cast<uint64_t>(from), static_cast<uint64_t>(size))) return false;
  }
  return true;
}

bool SparseMap::addList(kj::ArrayPtr<const char> text) {
  uint64_t offset = 0;
  bool half = false;
  for (size_t start = 0; start < text.size();) {
    size_t stop = start;
    while (stop < text.size() && text[stop] != ',') ++stop;
    KJ_IF_MAYBE (number, paxNumber(text.slice(start, stop))) {
      if (half && !add(offset, *number)) return false;
      offset = *number;
      half = !half;
    } else {
      return false;
    }
    start = stop + 1;
  }
  return !half;
}

bool SparseMap::fits(uint64_t fileSize, uint64_t stored) const {
  return end <= fileSize && held == stored;
}

}  // namespace bulkhead
