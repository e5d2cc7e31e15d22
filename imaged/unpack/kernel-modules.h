// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

namespace bulkhead {

// A kernel loads modules of its own version only. Both fail with `invalid` where a file of a kernel
// image holds others; the descriptors are borrowed.

// The squashfs must have the directory /modules/VERSION.
void requireModulesFor(kj::StringPtr version, int squashfs);

// Every module in the uncompressed archive must say that it was made for `version`. An empty file
// is an archive of none.
void requireBootModulesFor(kj::StringPtr version, int archive);

}  // namespace bulkhead
