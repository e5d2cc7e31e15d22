// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/checked-text.h"

#include <string.h>

#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

constexpr size_t kMostListBytes = 1 << 20;
constexpr size_t kMostIdBytes = 63;
constexpr size_t kMostDiskBytes = 31;

}  // namespace

bool isLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

void invalid(kj::StringPtr what, kj::StringPtr message, kj::StringPtr hint) {
  fail(FailureCode::INVALID, what, message, hint);
}

kj::String checkedText(capnp::Text::Reader text, kj::StringPtr what, size_t most) {
  if (text.size() > most) invalid(what, kj::str("is longer than ", most, " bytes"));
  if (memchr(text.begin(), 0, text.size()) != nullptr) invalid(what, "holds a NUL byte");
  return kj::str(text);
}

kj::Array<kj::String> checkedList(capnp::List<capnp::Text>::Reader list, kj::StringPtr what,
                                  size_t mostEntries) {
  if (list.size() > mostEntries) {
    invalid(what, kj::str("has more than ", mostEntries, " entries"));
  }
  size_t bytes = 0;
  auto result = kj::heapArrayBuilder<kj::String>(list.size());
  for (auto text : list) {
    bytes += text.size() + 1;
    if (bytes > kMostListBytes) {
      invalid(what, kj::str("is larger than ", kMostListBytes, " bytes"));
    }
    result.add(checkedText(text, what, kMostListBytes));
  }
  return result.finish();
}

kj::String checkedPath(capnp::Text::Reader text, kj::StringPtr what) {
  auto path = checkedText(text, what, kMostPathBytes);
  if (!path.startsWith("/")) invalid(printable(path, 256), kj::str(what, ": no absolute path"));
  return path;
}

kj::String checkedId(capnp::Text::Reader text) {
  auto id = checkedText(text, "id", kMostIdBytes);
  bool good = id.size() > 0 && id[0] != '-';
  for (char c : id) good = good && (isLowerOrDigit(c) || c == '-');
  if (!good) {
    invalid(printable(id, 64), "this is no workload id",
            "use up to 63 of a-z, 0-9 and '-', not starting with '-'");
  }
  return id;
}

kj::String checkedDisk(capnp::Text::Reader text, kj::StringPtr what) {
  auto disk = checkedText(text, what, kMostDiskBytes);
  bool good = disk.size() > 0;
  for (char c : disk) good = good && isLowerOrDigit(c);
  if (!good) {
    invalid(printable(disk, 64), "this names no disk", "name one as the kernel does: xvda");
  }
  return disk;
}

}  // namespace bulkhead::zone
