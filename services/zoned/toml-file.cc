// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/toml-file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <kj/io.h>

#include "services/runtime/failure.h"

namespace bulkhead {

kj::Maybe<kj::String> readConfigFile(kj::StringPtr path) {
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (raw < 0) {
    if (errno == ENOENT) return nullptr;
    fail(FailureCode::INVALID, path, kj::str("cannot be read: ", strerror(errno)));
  }
  kj::FdInputStream stream{kj::AutoCloseFd(raw)};
  constexpr uint64_t kMost = 1u << 20;
  return stream.readAllText(kMost);
}

toml::table parseToml(kj::StringPtr text, kj::StringPtr path) {
  try {
    return toml::parse(std::string_view(text.begin(), text.size()));
  } catch (const toml::parse_error& error) {
    auto what = error.description();
    fail(FailureCode::INVALID, path,
         kj::str("line ", error.source().begin.line, ": ", kj::arrayPtr(what.data(), what.size())));
  }
}

}  // namespace bulkhead
