// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

namespace bulkhead {

enum class PackOwners { kept, root };

// Writes a file, or a directory with all below it, to a descriptor as a tar archive (pax). The
// first entry is called `name`, all others lie below it. Modes, times and sparse files are kept;
// owners are numbers. A symbolic link is packed as one, unless the path ends in "/" or "/.". Left
// out are sockets, what lies in the kernel's own file systems below a directory, extended
// attributes; hard links become files of their own. What disappears meanwhile is left out, what
// shrinks is filled up with zeros.
//
// Changes the working directory: for a process that does nothing else. Fails with `notFound`,
// `invalid` (a directory was named and it is none), `cancelled` (nobody reads), `internal`.
void packTree(kj::StringPtr path, kj::StringPtr name, PackOwners owners, int output);

// The last part of a path: "app" of "/var/app" and "/var/app/", "." of "/", "." and "/var/app/.".
// Fails with `invalid` for ".." there, which names nothing by itself.
kj::String lastPart(kj::StringPtr path);

}  // namespace bulkhead
