// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

namespace bulkhead {

// The parts of a URL that decide where a request goes.
struct UrlParts {
  kj::String scheme;
  kj::String host;  // lower case, brackets removed
  kj::String port;  // always a number
  bool hasUser;

  // "host:port", as errors name it.
  kj::String authority() const;
  bool sameOrigin(const UrlParts& other) const;
};

// Fails with `invalid` where the text is no absolute URL. Errors never show a query: it may be a
// signature that opens something.
UrlParts parseUrl(kj::StringPtr url, kj::StringPtr subject);

// A `Location` seen from the URL it came from.
kj::String resolveUrl(kj::StringPtr base, kj::StringPtr location, kj::StringPtr subject);

// `text` with everything but unreserved characters as %XX.
kj::String urlEscaped(kj::StringPtr text);

}  // namespace bulkhead
