// SPDX-License-Identifier: Apache-2.0
#include "imaged/reference.h"

#include <arpa/inet.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kMostText = 1024;
constexpr size_t kMostRepository = 255;
constexpr size_t kMostTag = 128;

bool isLower(char c) { return c >= 'a' && c <= 'z'; }
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isAlnum(char c) { return isLower(c) || isDigit(c) || (c >= 'A' && c <= 'Z'); }

[[noreturn]] void reject(kj::StringPtr text, kj::StringPtr why, kj::StringPtr hint = "") {
  fail(FailureCode::INVALID, text, why, hint);
}

kj::Maybe<size_t> lastIndexOf(kj::StringPtr text, char c) { return text.findLast(c); }

// distribution specification: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}
bool isTag(kj::StringPtr text) {
  if (text.size() == 0 || text.size() > kMostTag) return false;
  if (text[0] == '.' || text[0] == '-') return false;
  for (char c : text) {
    if (!isAlnum(c) && c != '_' && c != '.' && c != '-') return false;
  }
  return true;
}

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool isPathComponent(kj::ArrayPtr<const char> text) {
  size_t i = 0;
  for (;;) {
    size_t start = i;
    while (i < text.size() && (isLower(text[i]) || isDigit(text[i]))) ++i;
    if (i == start) return false;
    if (i == text.size()) return true;
    char separator = text[i];
    size_t run = 0;
    while (i < text.size() && text[i] == separator) {
      ++i;
      ++run;
    }
    bool known =
        (separator == '.' && run == 1) || (separator == '_' && run <= 2) || separator == '-';
    if (!known) return false;
  }
}

bool isRepository(kj::StringPtr text) {
  if (text.size() == 0 || text.size() > kMostRepository) return false;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != '/') continue;
    if (!isPathComponent(text.slice(start, i))) return false;
    start = i + 1;
  }
  return true;
}

bool isPort(kj::StringPtr text) {
  if (text.size() == 0 || text.size() > 5 || text[0] == '0') return false;
  uint32_t port = 0;
  for (char c : text) {
    if (!isDigit(c)) return false;
    port = port * 10 + static_cast<uint32_t>(c - '0');
  }
  return port <= 65535;
}

bool isHostName(kj::StringPtr text) {
  if (text.size() == 0 || text.size() > 253) return false;
  char before = '.';
  for (char c : text) {
    if (c == '.' && (before == '.' || before == '-')) return false;
    if (c == '-' && before == '.') return false;
    if (!isLower(c) && !isDigit(c) && c != '.' && c != '-') return false;
    before = c;
  }
  return before != '.' && before != '-';
}

// "host", "host:port", "[::1]", "[::1]:port"
bool isRegistry(kj::StringPtr text) {
  if (text.startsWith("[")) {
    KJ_IF_MAYBE (end, text.findFirst(']')) {
      in6_addr address;
      if (inet_pton(AF_INET6, kj::str(text.slice(1, *end)).cStr(), &address) != 1) return false;
      auto rest = text.slice(*end + 1);
      return rest.size() == 0 || (rest.startsWith(":") && isPort(rest.slice(1)));
    }
    return false;
  }
  KJ_IF_MAYBE (colon, text.findFirst(':')) {
    return isHostName(kj::str(text.slice(0, *colon))) && isPort(text.slice(*colon + 1));
  }
  return isHostName(text);
}

kj::String lowerCase(kj::StringPtr text) {
  auto result = kj::str(text);
  for (char& c : result.asArray()) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

bool looksLikeRegistry(kj::StringPtr first) {
  return first == "localhost" || first.findFirst('.') != nullptr ||
         first.findFirst(':') != nullptr || first.startsWith("[");
}

void checkDirectory(kj::StringPtr text, kj::StringPtr directory) {
  if (!directory.startsWith("/") || directory.size() < 2) {
    reject(text, "a layout is an absolute directory", "write oci:/DIRECTORY[:TAG]");
  }
  size_t start = 1;
  for (size_t i = 1; i <= directory.size(); ++i) {
    if (i < directory.size() && directory[i] != '/') {
      auto byte = static_cast<unsigned char>(directory[i]);
      if (byte < 0x20 || byte == 0x7f) reject(text, "the directory holds a control character");
      continue;
    }
    auto component = kj::str(directory.slice(start, i));
    if (component.size() == 0 || component == "." || component == "..") {
      reject(text, "the directory is not in its plain form", "no '.', '..' or doubled '/'");
    }
    start = i + 1;
  }
}

Reference parseLayout(kj::StringPtr text) {
  Reference result;
  result.source = Reference::Source::layout;
  auto rest = text.slice(4);
  size_t slash = lastIndexOf(rest, '/').orDefault(0);
  size_t end = rest.size();
  KJ_IF_MAYBE (colon, lastIndexOf(rest, ':')) {
    if (*colon > slash) {
      end = *colon;
      result.tag = kj::str(rest.slice(end + 1));
      if (!isTag(result.tag)) reject(text, "the tag is not a tag");
    }
  }
  result.directory = kj::str(rest.slice(0, end));
  checkDirectory(text, result.directory);
  return result;
}

}  // namespace

Reference Reference::parse(kj::StringPtr text, kj::StringPtr defaultRegistry) {
  if (text.size() == 0) reject(text, "an image reference is missing");
  if (text.size() > kMostText) {
    reject(printable(text, 64), "the image reference is longer than 1024 bytes");
  }
  if (text.startsWith("oci:")) return parseLayout(text);

  Reference result;
  kj::String rest = kj::str(text);
  KJ_IF_MAYBE (at, rest.findFirst('@')) {
    result.digest = Digest::parse(rest.slice(*at + 1), text);
    rest = kj::str(rest.slice(0, *at));
  }
  KJ_IF_MAYBE (slash, rest.findFirst('/')) {
    auto first = kj::str(rest.slice(0, *slash));
    if (looksLikeRegistry(first)) {
      result.registry = lowerCase(first);
      rest = kj::str(rest.slice(*slash + 1));
    }
  }
  size_t slash = lastIndexOf(rest, '/').orDefault(0);
  KJ_IF_MAYBE (colon, lastIndexOf(rest, ':')) {
    if (*colon >= slash) {
      result.tag = kj::str(rest.slice(*colon + 1));
      if (!isTag(result.tag)) {
        reject(
            text, "the tag is not a tag",
            "a tag is up to 128 letters, digits, '_', '.' and '-', not starting with '.' or '-'");
      }
      rest = kj::str(rest.slice(0, *colon));
    }
  }
  if (result.registry.size() == 0) result.registry = lowerCase(defaultRegistry);
  // The name that Docker's own tools write for theirs.
  if (result.registry == "index.docker.io") result.registry = kj::str("docker.io");
  if (!isRegistry(result.registry)) reject(text, "the registry is not a host name with a port");
  result.repository = kj::mv(rest);
  if (!isRepository(result.repository)) {
    reject(text, "the repository is not a repository name",
           "lower-case letters and digits, parted by '/', '.', '_', '__' or '-'");
  }
  if (result.registry == "docker.io" && result.repository.findFirst('/') == nullptr) {
    result.repository = kj::str("library/", result.repository);
  }
  if (result.tag.size() == 0 && result.digest == nullptr) result.tag = kj::str("latest");
  return result;
}

Reference Reference::clone() const {
  return {source, kj::str(registry), kj::str(repository), kj::str(directory), kj::str(tag), digest};
}

kj::String Reference::canonical() const {
  auto text =
      source == Source::layout ? kj::str("oci:", directory) : kj::str(registry, "/", repository);
  if (tag.size() > 0) text = kj::str(text, ":", tag);
  KJ_IF_MAYBE (known, digest) {
    text = kj::str(text, "@", *known);
  }
  return text;
}

kj::String Reference::canonicalWith(const Digest& manifest) const {
  return digest == nullptr ? kj::str(canonical(), "@", manifest) : canonical();
}

kj::String Reference::registryHost() const {
  if (registry.startsWith("[")) {
    return kj::str(registry.slice(1, registry.findFirst(']').orDefault(1)));
  }
  return kj::str(registry.slice(0, registry.findFirst(':').orDefault(registry.size())));
}

bool isLoopbackHost(kj::StringPtr host) {
  if (host == "localhost") return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.cStr(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, host.cStr(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace bulkhead
