// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/string.h>

namespace bulkhead {

// Says what is wrong with an archive, and at which of its entries.
class TarErrors {
 public:
  // `subject` names the archive.
  explicit TarErrors(kj::StringPtr subject) : subject(kj::str(subject)) {}

  // Errors are about an entry whose name is not known yet.
  void unnamed() { current = kj::String(); }
  void named(kj::StringPtr path) { current = kj::str(path); }
  void complete() { ++entries; }

  // How many entries were complete.
  uint64_t count() const { return entries; }

  [[noreturn]] void reject(kj::StringPtr why) const;
  [[noreturn]] void unsupported(kj::StringPtr why) const;

 private:
  kj::String subject;
  kj::String current;
  uint64_t entries = 0;

  kj::String describe(kj::StringPtr why) const;
};

}  // namespace bulkhead
