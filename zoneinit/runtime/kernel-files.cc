// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/kernel-files.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>

#include <kj/io.h>

namespace bulkhead::zone {
namespace {

// "12" or "12.34". The library's own reader of fractions would make the zone's agent larger than
// all the rest of what this needs.
double decimal(std::string_view text) {
  auto point = text.find('.');
  auto value = static_cast<double>(leadingNumber(text.substr(0, point)));
  if (point == text.npos) return value;
  auto fraction = text.substr(point + 1);
  auto part = static_cast<double>(leadingNumber(fraction));
  for (size_t i = 0; i < fraction.size(); ++i) part /= 10;
  return value + part;
}

}  // namespace

kj::String readKernelFile(int directory, kj::StringPtr name) {
  int raw = openat(directory, name.cStr(), O_RDONLY | O_CLOEXEC);
  if (raw < 0) return {};
  kj::AutoCloseFd fd(raw);
  char buffer[16384];
  ssize_t n = read(fd, buffer, sizeof buffer);
  if (n < 0) return {};
  return kj::heapString(buffer, static_cast<size_t>(n));
}

bool writeKernelFile(int directory, kj::StringPtr name, kj::StringPtr value) {
  int raw = openat(directory, name.cStr(), O_WRONLY | O_CLOEXEC);
  if (raw < 0) return false;
  kj::AutoCloseFd fd(raw);
  return write(fd, value.begin(), value.size()) == static_cast<ssize_t>(value.size());
}

uint64_t leadingNumber(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.begin(), text.end(), value);
  return value;
}

uint64_t numberOfLine(kj::StringPtr content, kj::StringPtr key) {
  uint64_t value = 0;
  eachLine(content, [&](std::string_view line) {
    if (!line.starts_with(key.cStr())) return;
    line.remove_prefix(key.size());
    auto digits = line.find_first_not_of(" \t");
    if (digits == 0 || digits == line.npos) return;  // a longer key, or nothing behind it
    value = leadingNumber(line.substr(digits));
  });
  return value;
}

double numberOfField(std::string_view line, std::string_view key) {
  for (size_t at = line.find(key); at != line.npos; at = line.find(key, at + 1)) {
    auto number = line.substr(at + key.size());
    bool isWhole = at == 0 || line[at - 1] == ' ';
    if (!isWhole || !number.starts_with('=')) continue;
    number.remove_prefix(1);
    return decimal(number.substr(0, number.find(' ')));
  }
  return 0;
}

}  // namespace bulkhead::zone
