// SPDX-License-Identifier: Apache-2.0
// Small files that the kernel writes as text: cgroup2, /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include <kj/common.h>
#include <kj/string.h>

namespace bulkhead::zone {

// The first 16 KiB; nothing where the file cannot be read. `directory` may be AT_FDCWD.
kj::String readKernelFile(int directory, kj::StringPtr name);

// False where it cannot be written, with errno set.
bool writeKernelFile(int directory, kj::StringPtr name, kj::StringPtr value);

// Calls `visit` with each line, without its end.
template <typename Visit>
void eachLine(kj::StringPtr content, Visit&& visit) {
  std::string_view rest(content.begin(), content.size());
  while (!rest.empty()) {
    auto end = rest.find('\n');
    visit(rest.substr(0, end));
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
}

// The number that the text begins with; 0 where it begins with none.
uint64_t leadingNumber(std::string_view text);

// The number of the line "KEY 123" or "KEY:   123 kB", which is `KEY` or `KEY:` as the key; 0 where
// there is none.
uint64_t numberOfLine(kj::StringPtr content, kj::StringPtr key);

// The number in "... KEY=123 ...", with a fraction or without; 0 where there is none.
double numberOfField(std::string_view line, std::string_view key);

}  // namespace bulkhead::zone
