// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/url.h"

#include <curl/curl.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

kj::String partOf(CURLU* handle, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, part, &text, flags) != CURLUE_OK) return kj::String();
  KJ_DEFER(curl_free(text));
  return kj::str(static_cast<const char*>(text));
}

[[noreturn]] void reject(kj::StringPtr text, kj::StringPtr subject) {
  size_t end = text.findFirst('?').orDefault(text.size());
  fail(FailureCode::INVALID, subject,
       kj::str("the registry names the URL '", printable(text.slice(0, end), 256), "'"));
}

// Owns a parsed URL.
class Url {
 public:
  Url(kj::StringPtr text, kj::StringPtr subject) : handle(curl_url()) {
    KJ_REQUIRE(handle != nullptr, "no memory for a URL");
    set(text, subject);
  }
  ~Url() { curl_url_cleanup(handle); }
  KJ_DISALLOW_COPY_AND_MOVE(Url);

  // An absolute URL, or one relative to what is there already.
  void set(kj::StringPtr text, kj::StringPtr subject) {
    for (char c : text) {
      auto byte = static_cast<unsigned char>(c);
      if (byte <= 0x20 || byte >= 0x7f) reject(text, subject);
    }
    if (curl_url_set(handle, CURLUPART_URL, text.cStr(), 0) != CURLUE_OK) reject(text, subject);
  }
  CURLU* get() { return handle; }

 private:
  CURLU* handle;
};

}  // namespace

kj::String UrlParts::authority() const {
  // As a StringPtr: an empty String has no characters to be looked at, not even none.
  bool isName = kj::StringPtr(host).findFirst(':') == nullptr;
  return isName ? kj::str(host, ":", port) : kj::str("[", host, "]:", port);
}

bool UrlParts::sameOrigin(const UrlParts& other) const {
  return scheme == other.scheme && host == other.host && port == other.port;
}

UrlParts parseUrl(kj::StringPtr text, kj::StringPtr subject) {
  Url url(text, subject);
  auto host = partOf(url.get(), CURLUPART_HOST);
  if (host.startsWith("[") && host.endsWith("]")) {
    host = kj::str(host.slice(1, host.size() - 1));
  }
  bool hasUser = partOf(url.get(), CURLUPART_USER).size() > 0 ||
                 partOf(url.get(), CURLUPART_PASSWORD).size() > 0;
  for (char& c : host.asArray()) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return {partOf(url.get(), CURLUPART_SCHEME), kj::mv(host),
          partOf(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT), hasUser};
}

kj::String resolveUrl(kj::StringPtr base, kj::StringPtr location, kj::StringPtr subject) {
  Url url(base, subject);
  url.set(location, subject);
  return partOf(url.get(), CURLUPART_URL);
}

kj::String urlEscaped(kj::StringPtr text) {
  char* escaped = curl_easy_escape(nullptr, text.cStr(), static_cast<int>(text.size()));
  KJ_REQUIRE(escaped != nullptr, "no memory for a URL");
  KJ_DEFER(curl_free(escaped));
  return kj::str(static_cast<const char*>(escaped));
}

}  // namespace bulkhead
