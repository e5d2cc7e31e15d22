// SPDX-License-Identifier: Apache-2.0
#include "services/tar/failure-line.h"

#include <kj/vector.h>

namespace bulkhead {
namespace {

constexpr size_t kMostText = 4096;

// Without tabs and newlines, which are between the fields and behind them.
kj::String asField(kj::StringPtr text) {
  auto shown = printable(text, kMostText);
  for (char& c : shown) {
    if (c == '\t' || c == '\n') c = ' ';
  }
  return shown;
}

}  // namespace

kj::String encodeFailureLine(const Failure& failure) {
  return kj::str(codeName(failure.code), "\t", asField(failure.subject), "\t",
                 asField(failure.message), "\t", asField(failure.hint), "\n");
}

Failure decodeFailureLine(kj::ArrayPtr<const char> line) {
  kj::Vector<kj::ArrayPtr<const char>> fields;
  size_t start = 0;
  for (size_t i = 0; i < line.size() && fields.size() < 4; ++i) {
    if (line[i] != '\t' && line[i] != '\n') continue;
    fields.add(line.slice(start, i));
    start = i + 1;
  }
  if (fields.size() == 4) {
    for (auto number = static_cast<uint16_t>(FailureCode::INTERNAL);
         number <= static_cast<uint16_t>(FailureCode::CORRUPT); ++number) {
      auto code = static_cast<FailureCode>(number);
      if (kj::str(fields[0]) != codeName(code)) continue;
      return failure(code, printable(fields[1], kMostText), printable(fields[2], kMostText),
                     printable(fields[3], kMostText));
    }
  }
  return failure(FailureCode::INTERNAL, "files",
                 kj::str("the process that moves them ended early: ", printable(line, 256)));
}

}  // namespace bulkhead
