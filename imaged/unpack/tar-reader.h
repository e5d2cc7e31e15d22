// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/array.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "imaged/unpack/sparse-map.h"
#include "imaged/unpack/tar-errors.h"

namespace bulkhead {

struct PaxRecords;

// Bytes in order, without copying.
class ByteSource {
 public:
  virtual ~ByteSource() noexcept(false) {}

  // The bytes at hand; none only at the end. Valid until the next call.
  virtual kj::ArrayPtr<const kj::byte> peek() = 0;
  virtual void consume(size_t count) = 0;
};

struct ExtendedAttribute {
  kj::String name;
  kj::Array<kj::byte> value;
};

// One member of an archive.
struct TarEntry {
  enum class Type { file, directory, symlink, hardLink, characterDevice, blockDevice, fifo };

  Type type = Type::file;
  kj::String path;        // relative, no empty, "." or ".." component; "" for the root itself
  kj::String linkTarget;  // a symlink's text as it is; a hard link's target in the form of `path`
  uint64_t size = 0;      // of a file's content, the zeros of a sparse one included
  uint32_t mode = 0;      // permission bits, 07777
  uint32_t user = 0;
  uint32_t group = 0;
  uint32_t deviceMajor = 0;
  uint32_t deviceMinor = 0;
  int64_t modified = 0;  // seconds since 1970
  kj::Vector<ExtendedAttribute> attributes;
};

// Reads tar archives: POSIX.1-2001 ustar and pax, GNU's long names and sparse files in all their
// forms, and the V7 form. Everything that two readers could understand differently is refused:
// sizes or names given twice in different forms, data behind links and directories, global headers
// that change entries, malformed pax records, bad checksums, a missing end. (CVE-2025-62518 is what
// leniency does here.) Borrows the source.
class TarReader {
 public:
  // `subject` names the archive in errors.
  TarReader(ByteSource& source, kj::StringPtr subject);

  // The next member; what is left of the present one's content is skipped. None after the end, by
  // which only zeros may follow. Fails with `invalid`, `unsupported` or `exhausted`.
  kj::Maybe<TarEntry> next();

  // The next bytes of the present member's content, zeros for holes; none when it is complete.
  // Valid until the next call.
  kj::ArrayPtr<const kj::byte> content();

  // How many members `next` returned.
  uint64_t count() const { return errors.count(); }

 private:
  struct Header;

  ByteSource& source;
  TarErrors errors;
  uint64_t contentLeft = 0;  // stored bytes
  uint64_t padding = 0;
  kj::Maybe<SparseMap> sparse;
  size_t piece = 0;       // of a sparse file: the one at or behind `position`
  uint64_t position = 0;  // in a sparse file
  uint64_t fileSize = 0;  // of a sparse file
  size_t pending = 0;     // handed out by content(), not yet consumed

  bool readBlock(kj::ArrayPtr<kj::byte> block);
  kj::Array<kj::byte> readMeta(uint64_t size);
  void skip(uint64_t count);
  void finishContent();
  void checkEnd();
  kj::ArrayPtr<const kj::byte> stored(uint64_t most);
  kj::ArrayPtr<const kj::byte> sparseContent(const SparseMap& map);
  void beginSparse(const Header& header, PaxRecords& pax, TarEntry& entry);
  void readSparseFields(const Header& header, SparseMap& map);
  uint64_t readSparseMap(SparseMap& map, uint64_t stored);
  TarEntry makeEntry(const Header& header, PaxRecords pax, kj::Maybe<kj::String> longName,
                     kj::Maybe<kj::String> longLink);
  kj::String normalise(kj::StringPtr path, kj::StringPtr what);
};

}  // namespace bulkhead
