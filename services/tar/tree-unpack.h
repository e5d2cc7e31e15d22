// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/common.h>
#include <kj/string.h>

namespace bulkhead {

enum class UnpackAs {
  root,    // owners, modes and devices as in the archive
  caller,  // what the archive's maker may not decide is left out: owners, set-user-ID and
           // set-group-ID bits, devices and named pipes
};

// Which entry an archive must begin with, all others lying below it, and what becomes of it.
struct TopEntry {
  enum class Kind { any, directory, noDirectory };

  kj::String expected;  // ".": all entries begin with "./"
  kj::String name;      // what it is called instead; ".": the directory that is unpacked into
  Kind kind = Kind::any;
};

// Unpacks a tar archive, which a stranger made, from a descriptor into a directory. Nothing is
// written outside it: entries with "..", or that lie behind a symbolic link, are refused; a file or
// link that is in the way of an entry is replaced, never written through. Without `top` the entries
// are taken as they are called. Reads the descriptor to its end.
//
// Changes the working directory: for a process that does nothing else. Fails with `notFound` (the
// directory), `invalid` (no directory, no archive, an entry that may not be), `exhausted` (no
// space), `internal`; what was unpacked until then stays.
void unpackTree(int input, kj::StringPtr directory, UnpackAs as, kj::Maybe<TopEntry> top);

}  // namespace bulkhead
