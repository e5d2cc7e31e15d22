// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/list.h>
#include <kj/array.h>
#include <kj/string.h>

// Texts of a specification as the runtime takes them over. All fail with `invalid`, naming `what`.
namespace bulkhead::zone {

constexpr size_t kMostPathBytes = 4095;

[[noreturn]] void invalid(kj::StringPtr what, kj::StringPtr message, kj::StringPtr hint = "");

bool isLowerOrDigit(char c);

// At most `most` bytes and no NUL byte: the kernel would see less of such a text than was checked.
kj::String checkedText(capnp::Text::Reader text, kj::StringPtr what, size_t most);

// At most `mostEntries` texts, 1 MiB in all.
kj::Array<kj::String> checkedList(capnp::List<capnp::Text>::Reader list, kj::StringPtr what,
                                  size_t mostEntries);

// An absolute path.
kj::String checkedPath(capnp::Text::Reader text, kj::StringPtr what);

// [a-z0-9-], 63 at most, not starting with '-'.
kj::String checkedId(capnp::Text::Reader text);

// A block device as the kernel names it: "xvda".
kj::String checkedDisk(capnp::Text::Reader text, kj::StringPtr what);

}  // namespace bulkhead::zone
