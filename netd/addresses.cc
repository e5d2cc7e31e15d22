// SPDX-License-Identifier: Apache-2.0
#include "netd/addresses.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <algorithm>

#include <kj/debug.h>

namespace bulkhead::net {
namespace {

kj::Maybe<unsigned> hexDigit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return nullptr;
}

// One to three digits without a leading zero.
kj::Maybe<unsigned> prefixLength(kj::StringPtr text) {
  if (text.size() == 0 || text.size() > 3 || (text[0] == '0' && text.size() > 1)) return nullptr;
  unsigned value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return nullptr;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value;
}

kj::Maybe<IpAddress> parseBare(kj::StringPtr text) {
  IpAddress address;
  if (inet_pton(AF_INET, text.cStr(), address.bytes.data()) == 1) return address;
  address.family = IpAddress::Family::v6;
  if (inet_pton(AF_INET6, text.cStr(), address.bytes.data()) == 1) return address;
  return nullptr;
}

struct AddressAndPrefix {
  IpAddress address;
  unsigned prefix;
};

kj::Maybe<AddressAndPrefix> parseWithPrefix(kj::StringPtr text) {
  KJ_IF_MAYBE (slash, text.findFirst('/')) {
    KJ_IF_MAYBE (address, parseBare(kj::str(text.slice(0, *slash)))) {
      KJ_IF_MAYBE (prefix, prefixLength(text.slice(*slash + 1))) {
        if (*prefix <= address->bits()) return AddressAndPrefix{*address, *prefix};
      }
    }
  }
  return nullptr;
}

bool bitIsSet(const IpAddress& address, unsigned bit) {
  return (address.bytes[bit / 8] >> (7 - bit % 8) & 1) != 0;
}

// The last four bytes as a number.
uint32_t tail(const IpAddress& address) {
  uint32_t value = 0;
  for (auto byte : address.data().slice(address.size() - 4, address.size())) {
    value = value << 8 | byte;
  }
  return value;
}

}  // namespace

kj::Maybe<MacAddress> MacAddress::parse(kj::StringPtr text) {
  MacAddress mac;
  if (text.size() != mac.bytes.size() * 3 - 1) return nullptr;
  for (size_t i = 0; i < mac.bytes.size(); ++i) {
    if (i > 0 && text[i * 3 - 1] != ':') return nullptr;
    unsigned value = 0;
    for (char c : text.slice(i * 3, i * 3 + 2)) {
      KJ_IF_MAYBE (digit, hexDigit(c)) {
        value = value << 4 | *digit;
      } else {
        return nullptr;
      }
    }
    mac.bytes[i] = static_cast<kj::byte>(value);
  }
  return mac;
}

MacAddress MacAddress::random() {
  MacAddress mac;
  ssize_t got;
  KJ_SYSCALL(got = getrandom(mac.bytes.data(), mac.bytes.size(), 0));
  KJ_ASSERT(got == static_cast<ssize_t>(mac.bytes.size()));
  mac.bytes[0] = 0x02;
  return mac;
}

bool MacAddress::isInterfaceAddress() const { return (bytes[0] & 1) == 0 && *this != MacAddress{}; }

kj::String MacAddress::text() const {
  char buffer[18];
  snprintf(buffer, sizeof buffer, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2],
           bytes[3], bytes[4], bytes[5]);
  return kj::str(static_cast<const char*>(buffer));
}

kj::Maybe<IpAddress> IpAddress::parse(kj::StringPtr text) {
  if (text.findFirst('/') == nullptr) return parseBare(text);
  KJ_IF_MAYBE (parsed, parseWithPrefix(text)) {
    if (parsed->prefix == parsed->address.bits()) return parsed->address;
  }
  return nullptr;
}

kj::String IpAddress::text() const {
  char buffer[INET6_ADDRSTRLEN];
  const char* result = inet_ntop(family == Family::v4 ? AF_INET : AF_INET6, bytes.data(), buffer,
                                 static_cast<socklen_t>(sizeof buffer));
  KJ_ASSERT(result != nullptr);
  return kj::str(result);
}

IpAddress linkLocal(const MacAddress& mac) {
  IpAddress address;
  address.family = IpAddress::Family::v6;
  auto& b = address.bytes;
  b[0] = 0xfe;
  b[1] = 0x80;
  std::copy_n(mac.bytes.begin(), 3, &b[8]);
  b[8] ^= 2;  // the universal/local bit is inverted
  b[11] = 0xff;
  b[12] = 0xfe;
  std::copy_n(&mac.bytes[3], 3, &b[13]);
  return address;
}

kj::Maybe<IpRange> IpRange::parse(kj::StringPtr text) {
  KJ_IF_MAYBE (parsed, parseWithPrefix(text)) {
    for (unsigned bit = parsed->prefix; bit < parsed->address.bits(); ++bit) {
      if (bitIsSet(parsed->address, bit)) return nullptr;
    }
    return IpRange{parsed->address, parsed->prefix};
  }
  return nullptr;
}

IpAddress IpRange::at(uint32_t number) const {
  KJ_REQUIRE(number <= lastNumber(), "outside of the range", number);
  IpAddress address = base;
  // The base's bits behind the prefix are zero, so that a sum is an or.
  for (size_t i = 0; i < 4; ++i) {
    address.bytes[address.size() - 1 - i] |= static_cast<kj::byte>(number >> (8 * i));
  }
  return address;
}

kj::Maybe<uint32_t> IpRange::numberOf(const IpAddress& address) const {
  if (address.family != base.family) return nullptr;
  uint32_t number = tail(address);
  if (prefix > base.bits() - 32) number &= lastNumber();
  if (at(number) != address) return nullptr;
  return number;
}

uint32_t IpRange::lastNumber() const {
  unsigned hostBits = base.bits() - prefix;
  return hostBits >= 32 ? UINT32_MAX : (1u << hostBits) - 1;
}

}  // namespace bulkhead::net
