// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/pax-records.h"

#include <string.h>

#include <kj/debug.h>

#include "imaged/unpack/tar-header.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

// Linux's XATTR_NAME_MAX and XATTR_SIZE_MAX.
constexpr size_t kMostAttributeName = 255;
constexpr size_t kMostAttributeValue = 64u << 10;
constexpr kj::StringPtr kAttributePrefix = "SCHILY.xattr."_kj;
constexpr kj::StringPtr kSparsePrefix = "GNU.sparse."_kj;

class PaxReader {
 public:
  explicit PaxReader(const TarErrors& errors) : errors(errors) {}

  PaxRecords read(kj::ArrayPtr<const kj::byte> records);

 private:
  const TarErrors& errors;
  PaxRecords pax;

  kj::String textOf(kj::ArrayPtr<const char> value, kj::StringPtr key);
  uint64_t numberOf(kj::ArrayPtr<const char> value, kj::StringPtr key);
  bool readSparse(kj::StringPtr key, kj::ArrayPtr<const char> value);
};

kj::String PaxReader::textOf(kj::ArrayPtr<const char> value, kj::StringPtr key) {
  if (memchr(value.begin(), 0, value.size()) != nullptr) {
    errors.reject(kj::str("the pax record '", printable(key, 64), "' holds a NUL"));
  }
  return kj::heapString(value.begin(), value.size());
}

uint64_t PaxReader::numberOf(kj::ArrayPtr<const char> value, kj::StringPtr key) {
  KJ_IF_MAYBE (n, paxNumber(value)) {
    return *n;
  }
  errors.reject(kj::str("the pax record '", printable(key, 64), "' is no number in range"));
}

// POSIX.1-2017, pax, "pax Extended Header": "LENGTH KEY=VALUE\n", the length counting all of it.
PaxRecords PaxReader::read(kj::ArrayPtr<const kj::byte> records) {
  auto text = records.asChars();
  auto once = [this](const auto& maybe, kj::StringPtr key) {
    if (maybe != nullptr) errors.reject(kj::str("the pax record '", key, "' is there twice"));
  };
  while (text.size() > 0) {
    size_t space = 0;
    while (space < text.size() && text[space] != ' ') ++space;
    uint64_t length = 0;
    KJ_IF_MAYBE (n, paxNumber(text.slice(0, space))) {
      length = *n;
    }
    if (length < space + 4 || length > text.size() || text[length - 1] != '\n') {
      errors.reject("a pax record's length is wrong");
    }
    auto record = text.slice(space + 1, length - 1);
    text = text.slice(length, text.size());
    size_t equals = 0;
    while (equals < record.size() && record[equals] != '=') ++equals;
    if (equals == 0 || equals == record.size()) errors.reject("a pax record has no key or no '='");
    auto key = textOf(record.slice(0, equals), "key");
    auto value = record.slice(equals + 1, record.size());
    if (key == "path") {
      once(pax.path, key);
      pax.path = textOf(value, key);
    } else if (key == "linkpath") {
      once(pax.linkPath, key);
      pax.linkPath = textOf(value, key);
    } else if (key == "size") {
      once(pax.size, key);
      pax.size = numberOf(value, key);
    } else if (key == "uid") {
      once(pax.user, key);
      pax.user = numberOf(value, key);
    } else if (key == "gid") {
      once(pax.group, key);
      pax.group = numberOf(value, key);
    } else if (key == "mtime") {
      once(pax.modified, key);
      KJ_IF_MAYBE (time, paxTime(value)) {
        pax.modified = *time;
      } else {
        errors.reject("the pax record 'mtime' is no time");
      }
    } else if (key.startsWith(kAttributePrefix)) {
      auto name = kj::str(key.slice(kAttributePrefix.size()));
      if (name.size() == 0 || name.size() > kMostAttributeName ||
          value.size() > kMostAttributeValue) {
        errors.reject("an extended attribute is too long");
      }
      for (const auto& other : pax.attributes) {
        if (other.name == name) errors.reject(kj::str("the attribute '", name, "' is there twice"));
      }
      pax.attributes.add(ExtendedAttribute{kj::mv(name), kj::heapArray(value.asBytes())});
    } else if (key.startsWith(kSparsePrefix)) {
      if (!readSparse(key.slice(kSparsePrefix.size()), value)) {
        errors.reject(kj::str("the pax record '", printable(key, 64), "' makes no sense there"));
      }
    }
    // Others (atime, ctime, comment, LIBARCHIVE.*) do not change what we make of the entry.
  }
  return kj::mv(pax);
}

// GNU tar, "Storing Sparse Files". False where a record is there twice or in the wrong place.
bool PaxReader::readSparse(kj::StringPtr key, kj::ArrayPtr<const char> value) {
  auto number = [&](kj::Maybe<uint64_t>& into) {
    if (into != nullptr) return false;
    into = numberOf(value, key);
    return true;
  };
  if (key == "size" || key == "realsize") return number(pax.fileSize);
  if (key == "major") return number(pax.major);
  if (key == "minor") return number(pax.minor);
  if (key == "numblocks") return number(pax.sparsePieces);
  if (key == "offset") return number(pax.sparseOffset);
  if (key == "name") {
    if (pax.sparseName != nullptr) return false;
    pax.sparseName = textOf(value, key);
    return true;
  }
  if (key == "map") {
    if (pax.map != nullptr) return false;
    return pax.map.emplace().addList(value);
  }
  if (key == "numbytes") {
    KJ_IF_MAYBE (offset, pax.sparseOffset) {
      uint64_t from = *offset;
      pax.sparseOffset = nullptr;
      if (pax.map == nullptr) pax.map.emplace();
      return KJ_ASSERT_NONNULL(pax.map).add(from, numberOf(value, key));
    }
    return false;
  }
  errors.unsupported("the file is sparse in an unknown form");
}

}  // namespace

PaxRecords readPaxRecords(kj::ArrayPtr<const kj::byte> records, const TarErrors& errors) {
  return PaxReader(errors).read(records);
}

}  // namespace bulkhead
