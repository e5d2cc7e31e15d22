// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/tar-reader.h"

#include <string.h>

#include <array>

#include <kj/debug.h>

#include "imaged/unpack/pax-records.h"
#include "imaged/unpack/tar-header.h"

namespace bulkhead {
namespace {

// Linux's PATH_MAX and NAME_MAX: nothing longer could be opened in the zone.
constexpr size_t kMostPath = 4095;
constexpr size_t kMostName = 255;
// One extended header, extended attributes included.
constexpr uint64_t kMostMeta = 1u << 20;
constexpr uint32_t kMostId = 0xfffffffe;  // the highest is "no such user"

}  // namespace

struct TarReader::Header {
  UstarHeader fields;
  TarForm form;
};

TarReader::TarReader(ByteSource& source, kj::StringPtr subject) : source(source), errors(subject) {}

// At most so many of the bytes the archive holds of the present member.
kj::ArrayPtr<const kj::byte> TarReader::stored(uint64_t most) {
  auto bytes = source.peek();
  if (bytes.size() == 0) errors.reject("the archive is cut off in the content");
  bytes = bytes.slice(0, kj::min(bytes.size(), most));
  contentLeft -= bytes.size();
  pending = bytes.size();
  return bytes;
}

kj::ArrayPtr<const kj::byte> TarReader::content() {
  source.consume(pending);
  pending = 0;
  KJ_IF_MAYBE (map, sparse) {
    return sparseContent(*map);
  }
  if (contentLeft == 0) return nullptr;
  return stored(contentLeft);
}

kj::ArrayPtr<const kj::byte> TarReader::sparseContent(const SparseMap& map) {
  static constexpr kj::byte kZeros[64u << 10] = {};
  while (piece < map.count() && position == map[piece].offset + map[piece].length) ++piece;
  bool last = piece == map.count();
  if (last && position == fileSize) return nullptr;
  kj::ArrayPtr<const kj::byte> bytes;
  if (!last && position >= map[piece].offset) {
    bytes = stored(map[piece].offset + map[piece].length - position);
  } else {
    uint64_t hole = (last ? fileSize : map[piece].offset) - position;
    bytes = kj::arrayPtr(kZeros, kj::min(hole, sizeof kZeros));
  }
  position += bytes.size();
  return bytes;
}

void TarReader::finishContent() {
  source.consume(pending);
  pending = 0;
  skip(contentLeft);
  skip(padding);
  contentLeft = 0;
  padding = 0;
  sparse = nullptr;
}

void TarReader::skip(uint64_t count) {
  while (count > 0) {
    auto bytes = source.peek();
    if (bytes.size() == 0) errors.reject("the archive is cut off");
    size_t step = kj::min(bytes.size(), count);
    source.consume(step);
    count -= step;
  }
}

// False at the end of the source; a part of a block is an error.
bool TarReader::readBlock(kj::ArrayPtr<kj::byte> block) {
  size_t have = 0;
  while (have < kTarBlock) {
    auto bytes = source.peek();
    if (bytes.size() == 0) {
      if (have == 0) return false;
      errors.reject("the archive is cut off in a header");
    }
    size_t step = kj::min(bytes.size(), kTarBlock - have);
    memcpy(block.slice(have, kTarBlock).begin(), bytes.begin(), step);
    source.consume(step);
    have += step;
  }
  return true;
}

kj::Array<kj::byte> TarReader::readMeta(uint64_t size) {
  if (size > kMostMeta) errors.reject(kj::str("an extended header has ", size, " bytes"));
  auto result = kj::heapArray<kj::byte>(size);
  size_t have = 0;
  while (have < result.size()) {
    auto bytes = source.peek();
    if (bytes.size() == 0) errors.reject("the archive is cut off in an extended header");
    size_t step = kj::min(bytes.size(), result.size() - have);
    memcpy(result.slice(have, result.size()).begin(), bytes.begin(), step);
    source.consume(step);
    have += step;
  }
  skip((kTarBlock - size % kTarBlock) % kTarBlock);
  return result;
}

// After the first zero block: one more at least, then nothing but zeros.
void TarReader::checkEnd() {
  kj::byte block[kTarBlock];
  errors.named("end of the archive");
  if (!readBlock(block)) errors.reject("one of the two zero blocks is missing");
  bool zero = true;
  for (kj::byte b : block) zero = zero && b == 0;
  while (zero) {
    auto bytes = source.peek();
    if (bytes.size() == 0) return;
    for (kj::byte b : bytes) zero = zero && b == 0;
    source.consume(bytes.size());
  }
  errors.reject("something follows the end");
}

kj::Maybe<TarEntry> TarReader::next() {
  finishContent();
  errors.unnamed();
  kj::Maybe<PaxRecords> pax;
  kj::Maybe<kj::String> longName;
  kj::Maybe<kj::String> longLink;
  for (;;) {
    Header header;
    static_assert(sizeof header.fields == kTarBlock);
    if (!readBlock(kj::arrayPtr(&header.fields, 1).asBytes())) {
      errors.reject("the archive has no end");
    }
    bool zero = true;
    for (kj::byte b : kj::arrayPtr(&header.fields, 1).asBytes()) zero = zero && b == 0;
    if (zero) {
      if (pax != nullptr || longName != nullptr || longLink != nullptr) {
        errors.reject("an extended header belongs to no entry");
      }
      checkEnd();
      return nullptr;
    }
    if (!checksumHolds(header.fields)) errors.reject("the header's checksum is wrong");
    KJ_IF_MAYBE (form, tarForm(header.fields)) {
      header.form = *form;
    } else {
      errors.reject("the header is of no known form");
    }
    char type = header.fields.type;
    bool meta = type == 'x' || type == 'g' || type == 'L' || type == 'K';
    if (!meta) {
      PaxRecords records;
      KJ_IF_MAYBE (read, pax) records = kj::mv(*read);
      auto entry = makeEntry(header, kj::mv(records), kj::mv(longName), kj::mv(longLink));
      errors.complete();
      return kj::mv(entry);
    }
    KJ_IF_MAYBE (size, tarNumber(field(header.fields.size))) {
      if (*size < 0) errors.reject("an extended header has a negative size");
      auto bytes = readMeta(static_cast<uint64_t>(*size));
      auto chars = bytes.asChars();
      if (type == 'x') {
        if (pax != nullptr) errors.reject("there are two pax headers for one entry");
        pax = readPaxRecords(bytes, errors);
      } else if (type == 'g') {
        if (readPaxRecords(bytes, errors).changesEntries()) {
          errors.reject("a global pax header changes the entries");
        }
      } else {
        auto& target = type == 'L' ? longName : longLink;
        if (target != nullptr) errors.reject("there are two GNU long names for one entry");
        target = tarText(chars);
      }
    } else {
      errors.reject("an extended header's size is no number");
    }
  }
}

// The pieces that lie in the header itself and in blocks behind it.
void TarReader::readSparseFields(const Header& header, SparseMap& map) {
  const auto& head = reinterpret_cast<const GnuSparseHeader&>(header.fields);
  bool good = map.addFields(field(head.pieces));
  for (bool more = head.isExtended != 0; good && more;) {
    GnuSparseExtension extension;
    if (!readBlock(kj::arrayPtr(&extension, 1).asBytes())) errors.reject("the archive is cut off");
    good = map.addFields(field(extension.pieces));
    more = extension.isExtended != 0;
  }
  if (!good) errors.reject("the map of the sparse file is wrong");
}

// Form 1.0: the map stands in front of the content, one number a line, in whole blocks. Returns
// the bytes it takes.
uint64_t TarReader::readSparseMap(SparseMap& map, uint64_t stored) {
  kj::byte block[kTarBlock];
  uint64_t read = 0;
  kj::Maybe<uint64_t> left;  // numbers to come, two a piece
  uint64_t offset = 0;
  std::array<char, 20> digits;
  size_t count = 0;
  for (;;) {
    if (read + kTarBlock > stored || !readBlock(block))
      errors.reject("the sparse file's map is cut off");
    read += kTarBlock;
    for (kj::byte b : block) {
      if (b != '\n') {
        if (count == digits.size()) errors.reject("the map of the sparse file is wrong");
        digits[count++] = static_cast<char>(b);
        continue;
      }
      uint64_t number = 0;
      KJ_IF_MAYBE (value, paxNumber(kj::arrayPtr(digits.data(), count))) {
        number = *value;
      } else {
        errors.reject("the map of the sparse file is wrong");
      }
      count = 0;
      KJ_IF_MAYBE (n, left) {
        if (*n % 2 != 0 && !map.add(offset, number))
          errors.reject("the map of the sparse file is wrong");
        offset = number;
        --*n;
      } else {
        if (number > kMostMeta) errors.reject("the map of the sparse file is wrong");
        left = 2 * number;
      }
      // What is left of the block means nothing.
      if (left.orDefault(1) == 0) return read;
    }
  }
}

// Turns the entry, whose `size` is what the archive holds of it, into one of a sparse file.
void TarReader::beginSparse(const Header& header, PaxRecords& pax, TarEntry& entry) {
  SparseMap map;
  uint64_t stored = entry.size;
  if (header.fields.type == 'S') {
    if (pax.isSparse()) errors.reject("the sparse file is described in two forms");
    if (header.form != TarForm::gnu) errors.reject("the sparse file has no GNU header");
    const auto& head = reinterpret_cast<const GnuSparseHeader&>(header.fields);
    int64_t size = tarNumber(field(head.fileSize)).orDefault(-1);
    if (size < 0) errors.reject("the sparse file's size is no number");
    pax.fileSize = static_cast<uint64_t>(size);
    readSparseFields(header, map);
  } else if (pax.major != nullptr || pax.minor != nullptr) {
    if (pax.major.orDefault(0) != 1 || pax.minor.orDefault(1) != 0) {
      errors.unsupported("the file is sparse in an unknown form");
    }
    if (pax.map != nullptr) errors.reject("the sparse file is described in two forms");
    contentLeft -= readSparseMap(map, stored);
    stored = contentLeft;
  } else {
    KJ_IF_MAYBE (pieces, pax.map) map = kj::mv(*pieces);
    if (pax.sparseOffset != nullptr || pax.sparsePieces.orDefault(map.count()) != map.count()) {
      errors.reject("the map of the sparse file is not complete");
    }
  }
  KJ_IF_MAYBE (size, pax.fileSize) {
    entry.size = *size;
  } else {
    errors.reject("the sparse file has no size");
  }
  if (!map.fits(entry.size, stored)) errors.reject("the map does not fit the sparse file");
  fileSize = entry.size;
  position = 0;
  piece = 0;
  sparse = kj::mv(map);
}

kj::String TarReader::normalise(kj::StringPtr path, kj::StringPtr what) {
  kj::Vector<char> result(path.size() + 1);
  size_t start = 0;
  for (size_t i = 0; i <= path.size(); ++i) {
    if (i < path.size() && path[i] != '/') continue;
    auto component = path.asArray().slice(start, i);
    start = i + 1;
    if (component.size() == 0 || (component.size() == 1 && component[0] == '.')) continue;
    if (component.size() == 2 && component[0] == '.' && component[1] == '.') {
      errors.reject(kj::str("the ", what, " has a '..' component"));
    }
    if (component.size() > kMostName)
      errors.reject(kj::str("the ", what, " has a name over 255 bytes"));
    if (result.size() > 0) result.add('/');
    result.addAll(component);
  }
  if (result.size() > kMostPath) errors.reject(kj::str("the ", what, " is longer than 4095 bytes"));
  result.add('\0');
  return kj::String(result.releaseAsArray());
}

TarEntry TarReader::makeEntry(const Header& header, PaxRecords pax, kj::Maybe<kj::String> longName,
                              kj::Maybe<kj::String> longLink) {
  const auto& fields = header.fields;
  bool named = pax.path != nullptr || pax.linkPath != nullptr || pax.sparseName != nullptr;
  if (named && (longName != nullptr || longLink != nullptr)) {
    errors.reject("the entry has both a pax and a GNU name");
  }
  auto path = tarText(field(fields.name));
  if (header.form == TarForm::ustar && fields.prefix[0] != 0) {
    path = kj::str(tarText(field(fields.prefix)), "/", path);
  }
  KJ_IF_MAYBE (name, longName) path = kj::mv(*name);
  KJ_IF_MAYBE (name, pax.path) path = kj::mv(*name);
  // The other one is what readers without sparse files see.
  KJ_IF_MAYBE (name, pax.sparseName) path = kj::mv(*name);
  auto link = tarText(field(fields.linkName));
  KJ_IF_MAYBE (name, longLink) link = kj::mv(*name);
  KJ_IF_MAYBE (name, pax.linkPath) link = kj::mv(*name);
  errors.named(path);
  if (path.size() == 0) errors.reject("the entry has no name");

  auto number = [this](kj::ArrayPtr<const char> digits, uint64_t most, kj::StringPtr what) {
    KJ_IF_MAYBE (n, tarNumber(digits)) {
      if (*n >= 0 && static_cast<uint64_t>(*n) <= most) return static_cast<uint64_t>(*n);
    }
    errors.reject(kj::str("the ", what, " is no number in range"));
  };
  auto id = [&](kj::Maybe<uint64_t> fromPax, kj::ArrayPtr<const char> digits, kj::StringPtr what) {
    KJ_IF_MAYBE (n, fromPax) {
      if (*n > kMostId) errors.reject(kj::str("the ", what, " is no number in range"));
      return static_cast<uint32_t>(*n);
    }
    return static_cast<uint32_t>(number(digits, kMostId, what));
  };

  TarEntry entry;
  bool slash = path.endsWith("/");
  switch (fields.type) {
    case '0':
    case '7':
    case 'S':
      entry.type = TarEntry::Type::file;
      break;
    case '\0':
      entry.type = slash ? TarEntry::Type::directory : TarEntry::Type::file;
      break;
    case '1':
      entry.type = TarEntry::Type::hardLink;
      break;
    case '2':
      entry.type = TarEntry::Type::symlink;
      break;
    case '3':
      entry.type = TarEntry::Type::characterDevice;
      break;
    case '4':
      entry.type = TarEntry::Type::blockDevice;
      break;
    case '5':
      entry.type = TarEntry::Type::directory;
      break;
    case '6':
      entry.type = TarEntry::Type::fifo;
      break;
    default:
      errors.unsupported(kj::str("the entry is of type ",
                                 static_cast<uint>(static_cast<unsigned char>(fields.type))));
  }
  uint64_t size = number(field(fields.size), uint64_t{1} << 62, "size");
  KJ_IF_MAYBE (n, pax.size) {
    // Writers put 0 or the low bits into the old field when the number does not fit: it never
    // counts.
    size = *n;
  }
  if (entry.type != TarEntry::Type::file && size != 0)
    errors.reject("only a file may have content");
  entry.path = normalise(path, "path");
  if (entry.path.size() == 0 && entry.type != TarEntry::Type::directory) {
    errors.reject("the root can only be a directory");
  }
  if (entry.type == TarEntry::Type::symlink) {
    if (link.size() == 0) errors.reject("the symbolic link has no target");
    if (link.size() > kMostPath) errors.reject("the link's target is longer than 4095 bytes");
    entry.linkTarget = kj::mv(link);
  } else if (entry.type == TarEntry::Type::hardLink) {
    entry.linkTarget = normalise(link, "link's target");
    if (entry.linkTarget.size() == 0) errors.reject("the hard link has no target");
  }
  entry.size = size;
  entry.mode = static_cast<uint32_t>(number(field(fields.mode), ~uint32_t{0}, "mode")) & 07777;
  entry.user = id(pax.user, field(fields.uid), "user");
  entry.group = id(pax.group, field(fields.gid), "group");
  entry.modified = tarNumber(field(fields.mtime)).orDefault(0);
  KJ_IF_MAYBE (time, pax.modified) entry.modified = *time;
  bool device =
      entry.type == TarEntry::Type::characterDevice || entry.type == TarEntry::Type::blockDevice;
  if (device) {
    // Linux: 12 bits of major, 20 of minor.
    entry.deviceMajor =
        static_cast<uint32_t>(number(field(fields.deviceMajor), 0xfff, "major number"));
    entry.deviceMinor =
        static_cast<uint32_t>(number(field(fields.deviceMinor), 0xfffff, "minor number"));
  }
  entry.attributes = kj::mv(pax.attributes);
  contentLeft = size;
  padding = (kTarBlock - size % kTarBlock) % kTarBlock;
  if (fields.type == 'S' || pax.isSparse()) {
    if (entry.type != TarEntry::Type::file) errors.reject("only a file can be sparse");
    beginSparse(header, pax, entry);
  }
  return entry;
}

}  // namespace bulkhead
