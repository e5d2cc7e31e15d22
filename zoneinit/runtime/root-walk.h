// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/string.h>

namespace bulkhead::zone {

// Paths inside a root that a stranger filled. Every walk is resolved by the kernel inside that
// root (openat2(2), RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS), so that no symlink, no ".." and no
// /proc link leads out of it. All throw kj::Exception with the system call's error, and are called
// before anything of the container runs.
enum class TargetKind { directory, file };

// An O_PATH descriptor to mount something on. What is missing is made (directories 0755, files
// 0644, root's); a last component that is a symlink, or of another kind, is replaced, since the
// image has no say in what stands there. Returns nullptr with errno set on failure.
kj::Maybe<kj::AutoCloseFd> mountTarget(int root, kj::StringPtr path, TargetKind kind);

// A directory for the process to start in; missing parts are made. nullptr with errno set.
kj::Maybe<kj::AutoCloseFd> openOrMakeDirectory(int root, kj::StringPtr path);

// An O_PATH descriptor of what is there, the last component's symlink followed as well. nullptr
// with errno set.
kj::Maybe<kj::AutoCloseFd> pathInRoot(int root, kj::StringPtr path);

// A regular file's whole content, or nothing when it is missing or no regular file. Fails with
// `invalid` when it is larger than `limit` bytes.
kj::Maybe<kj::String> readFileInRoot(int root, kj::StringPtr path, size_t limit);

}  // namespace bulkhead::zone
