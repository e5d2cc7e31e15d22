// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/tar-reader.h"

#include <string.h>

#include <kj/debug.h>

#include "imaged/unpack/tar-header.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

// Linux's PATH_MAX and NAME_MAX: nothing longer could be opened in the zone.
constexpr size_t kMostPath = 4095;
constexpr size_t kMostName = 255;
// One extended header, extended attributes included.
constexpr uint64_t kMostMeta = 1u << 20;
// Linux's XATTR_NAME_MAX and XATTR_SIZE_MAX.
constexpr size_t kMostAttributeName = 255;
constexpr size_t kMostAttributeValue = 64u << 10;
constexpr uint32_t kMostId = 0xfffffffe;  // the highest is "no such user"

constexpr kj::StringPtr kAttributePrefix = "SCHILY.xattr."_kj;

}  // namespace

struct TarReader::Header {
  UstarHeader fields;
  TarForm form;
};

// What pax records say about the next member.
struct TarReader::Pax {
  bool present = false;
  kj::Maybe<kj::String> path;
  kj::Maybe<kj::String> linkPath;
  kj::Maybe<uint64_t> size;
  kj::Maybe<uint64_t> user;
  kj::Maybe<uint64_t> group;
  kj::Maybe<int64_t> modified;
  kj::Vector<ExtendedAttribute> attributes;
};

TarReader::TarReader(ByteSource& source, kj::StringPtr subject)
    : source(source), subject(kj::str(subject)) {}

void TarReader::reject(kj::StringPtr why) {
  fail(FailureCode::INVALID, subject,
       current.size() == 0 ? kj::str("entry ", entries + 1, ": ", why)
                           : kj::str(printable(current, 256), ": ", why));
}

kj::ArrayPtr<const kj::byte> TarReader::content() {
  source.consume(pending);
  pending = 0;
  if (contentLeft == 0) return nullptr;
  auto bytes = source.peek();
  if (bytes.size() == 0) reject("the archive is cut off in the content");
  bytes = bytes.slice(0, kj::min(bytes.size(), contentLeft));
  contentLeft -= bytes.size();
  pending = bytes.size();
  return bytes;
}

void TarReader::finishContent() {
  while (content().size() > 0) {
  }
  skip(padding);
  padding = 0;
}

void TarReader::skip(uint64_t count) {
  while (count > 0) {
    auto bytes = source.peek();
    if (bytes.size() == 0) reject("the archive is cut off");
    size_t step = kj::min(bytes.size(), count);
    source.consume(step);
    count -= step;
  }
}

// False at the end of the source; a part of a block is an error.
bool TarReader::readBlock(kj::byte* block) {
  size_t have = 0;
  while (have < kTarBlock) {
    auto bytes = source.peek();
    if (bytes.size() == 0) {
      if (have == 0) return false;
      reject("the archive is cut off in a header");
    }
    size_t step = kj::min(bytes.size(), kTarBlock - have);
    memcpy(block + have, bytes.begin(), step);
    source.consume(step);
    have += step;
  }
  return true;
}

kj::Array<kj::byte> TarReader::readMeta(uint64_t size) {
  if (size > kMostMeta) reject(kj::str("an extended header has ", size, " bytes"));
  auto result = kj::heapArray<kj::byte>(size);
  size_t have = 0;
  while (have < result.size()) {
    auto bytes = source.peek();
    if (bytes.size() == 0) reject("the archive is cut off in an extended header");
    size_t step = kj::min(bytes.size(), result.size() - have);
    memcpy(result.begin() + have, bytes.begin(), step);
    source.consume(step);
    have += step;
  }
  skip((kTarBlock - size % kTarBlock) % kTarBlock);
  return result;
}

// After the first zero block: one more at least, then nothing but zeros.
void TarReader::checkEnd() {
  kj::byte block[kTarBlock];
  current = kj::str("end of the archive");
  if (!readBlock(block)) reject("one of the two zero blocks is missing");
  bool zero = true;
  for (kj::byte b : block) zero = zero && b == 0;
  while (zero) {
    auto bytes = source.peek();
    if (bytes.size() == 0) return;
    for (kj::byte b : bytes) zero = zero && b == 0;
    source.consume(bytes.size());
  }
  reject("something follows the end");
}

kj::Maybe<TarEntry> TarReader::next() {
  finishContent();
  current = kj::String();
  Pax pax;
  kj::Maybe<kj::String> longName;
  kj::Maybe<kj::String> longLink;
  for (;;) {
    Header header;
    static_assert(sizeof header.fields == kTarBlock);
    if (!readBlock(reinterpret_cast<kj::byte*>(&header.fields))) {
      reject("the archive has no end");
    }
    bool zero = true;
    for (size_t i = 0; i < kTarBlock; ++i) {
      zero = zero && reinterpret_cast<const kj::byte*>(&header.fields)[i] == 0;
    }
    if (zero) {
      if (pax.present || longName != nullptr || longLink != nullptr) {
        reject("an extended header belongs to no entry");
      }
      checkEnd();
      return nullptr;
    }
    if (!checksumHolds(header.fields)) reject("the header's checksum is wrong");
    KJ_IF_MAYBE (form, tarForm(header.fields)) {
      header.form = *form;
    } else {
      reject("the header is of no known form");
    }
    char type = header.fields.type;
    bool meta = type == 'x' || type == 'g' || type == 'L' || type == 'K';
    if (!meta) {
      auto entry = makeEntry(header, pax, kj::mv(longName), kj::mv(longLink));
      ++entries;
      return kj::mv(entry);
    }
    KJ_IF_MAYBE (size, tarNumber(field(header.fields.size))) {
      if (*size < 0) reject("an extended header has a negative size");
      auto bytes = readMeta(static_cast<uint64_t>(*size));
      auto chars = bytes.asChars();
      if (type == 'x') {
        if (pax.present) reject("there are two pax headers for one entry");
        pax.present = true;
        readPax(bytes, pax);
      } else if (type == 'g') {
        Pax global;
        readPax(bytes, global);
        bool changes = global.path != nullptr || global.linkPath != nullptr ||
                       global.size != nullptr || global.user != nullptr ||
                       global.group != nullptr || global.modified != nullptr ||
                       global.attributes.size() > 0;
        if (changes) reject("a global pax header changes the entries");
      } else {
        auto& target = type == 'L' ? longName : longLink;
        if (target != nullptr) reject("there are two GNU long names for one entry");
        target = tarText(chars);
      }
    } else {
      reject("an extended header's size is no number");
    }
  }
}

// POSIX.1-2017, pax, "pax Extended Header": "LENGTH KEY=VALUE\n", the length counting all of it.
void TarReader::readPax(kj::ArrayPtr<const kj::byte> records, Pax& pax) {
  auto text = records.asChars();
  auto once = [this](const auto& maybe, kj::StringPtr key) {
    if (maybe != nullptr) reject(kj::str("the pax record '", key, "' is there twice"));
  };
  auto plain = [this](kj::ArrayPtr<const char> value, kj::StringPtr key) {
    if (memchr(value.begin(), 0, value.size()) != nullptr) {
      reject(kj::str("the pax record '", key, "' holds a NUL"));
    }
    return kj::heapString(value.begin(), value.size());
  };
  auto number = [this](kj::ArrayPtr<const char> value, kj::StringPtr key) -> uint64_t {
    KJ_IF_MAYBE (n, paxNumber(value)) {
      return *n;
    }
    reject(kj::str("the pax record '", key, "' is no number in range"));
  };
  while (text.size() > 0) {
    size_t space = 0;
    while (space < text.size() && text[space] != ' ') ++space;
    uint64_t length = 0;
    KJ_IF_MAYBE (n, paxNumber(text.slice(0, space))) {
      length = *n;
    }
    if (length < space + 4 || length > text.size() || text[length - 1] != '\n') {
      reject("a pax record's length is wrong");
    }
    auto record = text.slice(space + 1, length - 1);
    text = text.slice(length, text.size());
    size_t equals = 0;
    while (equals < record.size() && record[equals] != '=') ++equals;
    if (equals == 0 || equals == record.size()) reject("a pax record has no key or no '='");
    auto key = plain(record.slice(0, equals), "key");
    auto value = record.slice(equals + 1, record.size());
    if (key == "path") {
      once(pax.path, key);
      pax.path = plain(value, key);
    } else if (key == "linkpath") {
      once(pax.linkPath, key);
      pax.linkPath = plain(value, key);
    } else if (key == "size") {
      once(pax.size, key);
      pax.size = number(value, key);
    } else if (key == "uid") {
      once(pax.user, key);
      pax.user = number(value, key);
    } else if (key == "gid") {
      once(pax.group, key);
      pax.group = number(value, key);
    } else if (key == "mtime") {
      once(pax.modified, key);
      KJ_IF_MAYBE (time, paxTime(value)) {
        pax.modified = *time;
      } else {
        reject("the pax record 'mtime' is no time");
      }
    } else if (key.startsWith(kAttributePrefix)) {
      auto name = kj::str(key.slice(kAttributePrefix.size()));
      if (name.size() == 0 || name.size() > kMostAttributeName ||
          value.size() > kMostAttributeValue) {
        reject("an extended attribute is too long");
      }
      for (const auto& other : pax.attributes) {
        if (other.name == name) reject(kj::str("the attribute '", name, "' is there twice"));
      }
      pax.attributes.add(ExtendedAttribute{kj::mv(name), kj::heapArray(value.asBytes())});
    } else if (key.startsWith("GNU.sparse.")) {
      fail(FailureCode::UNSUPPORTED, subject, "the layer holds a sparse file");
    }
    // Others (atime, ctime, comment, LIBARCHIVE.*) do not change what we make of the entry.
  }
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
      reject(kj::str("the ", what, " has a '..' component"));
    }
    if (component.size() > kMostName) reject(kj::str("the ", what, " has a name over 255 bytes"));
    if (result.size() > 0) result.add('/');
    result.addAll(component);
  }
  if (result.size() > kMostPath) reject(kj::str("the ", what, " is longer than 4095 bytes"));
  result.add('\0');
  return kj::String(result.releaseAsArray());
}

TarEntry TarReader::makeEntry(const Header& header, Pax& pax, kj::Maybe<kj::String> longName,
                              kj::Maybe<kj::String> longLink) {
  const auto& fields = header.fields;
  bool named = pax.path != nullptr || pax.linkPath != nullptr;
  if (named && (longName != nullptr || longLink != nullptr)) {
    reject("the entry has both a pax and a GNU name");
  }
  auto path = tarText(field(fields.name));
  if (header.form == TarForm::ustar && fields.prefix[0] != 0) {
    path = kj::str(tarText(field(fields.prefix)), "/", path);
  }
  KJ_IF_MAYBE (name, longName) path = kj::mv(*name);
  KJ_IF_MAYBE (name, pax.path) path = kj::mv(*name);
  auto link = tarText(field(fields.linkName));
  KJ_IF_MAYBE (name, longLink) link = kj::mv(*name);
  KJ_IF_MAYBE (name, pax.linkPath) link = kj::mv(*name);
  current = kj::str(path);
  if (path.size() == 0) reject("the entry has no name");

  auto number = [this](kj::ArrayPtr<const char> digits, uint64_t most, kj::StringPtr what) {
    KJ_IF_MAYBE (n, tarNumber(digits)) {
      if (*n >= 0 && static_cast<uint64_t>(*n) <= most) return static_cast<uint64_t>(*n);
    }
    reject(kj::str("the ", what, " is no number in range"));
  };
  auto id = [&](kj::Maybe<uint64_t> fromPax, kj::ArrayPtr<const char> digits, kj::StringPtr what) {
    KJ_IF_MAYBE (n, fromPax) {
      if (*n > kMostId) reject(kj::str("the ", what, " is no number in range"));
      return static_cast<uint32_t>(*n);
    }
    return static_cast<uint32_t>(number(digits, kMostId, what));
  };

  TarEntry entry;
  bool slash = path.endsWith("/");
  switch (fields.type) {
    case '0':
    case '7':
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
    case 'S':
      fail(FailureCode::UNSUPPORTED, subject,
           kj::str(printable(current, 256), ": the entry is a sparse file"));
    default:
      fail(FailureCode::UNSUPPORTED, subject,
           kj::str(printable(current, 256), ": the entry is of type ",
                   static_cast<uint>(static_cast<unsigned char>(fields.type))));
  }
  uint64_t size = number(field(fields.size), uint64_t{1} << 62, "size");
  KJ_IF_MAYBE (n, pax.size) {
    // Writers put 0 or the low bits into the old field when the number does not fit: it never
    // counts.
    size = *n;
  }
  if (entry.type != TarEntry::Type::file && size != 0) reject("only a file may have content");
  entry.path = normalise(path, "path");
  if (entry.path.size() == 0 && entry.type != TarEntry::Type::directory) {
    reject("the root can only be a directory");
  }
  if (entry.type == TarEntry::Type::symlink) {
    if (link.size() == 0) reject("the symbolic link has no target");
    if (link.size() > kMostPath) reject("the link's target is longer than 4095 bytes");
    entry.linkTarget = kj::mv(link);
  } else if (entry.type == TarEntry::Type::hardLink) {
    entry.linkTarget = normalise(link, "link's target");
    if (entry.linkTarget.size() == 0) reject("the hard link has no target");
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
  return entry;
}

}  // namespace bulkhead
