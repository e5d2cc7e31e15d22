// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/one-of.h>
#include <kj/vector.h>

#include "imaged/fetch/http-message.h"
#include "imaged/fetch/url.h"
#include "schemas/image-worker.capnp.h"

namespace bulkhead {

// One registry as it is configured: where it is, how it is reached, and who may be shown what is
// secret between it and us.
class RegistryEndpoint {
 public:
  // Copies what it needs; `systemCertificates` are borrowed. Fails with `invalid` where the host or
  // the credentials are not well formed.
  RegistryEndpoint(schema::Registry::Reader registry,
                   kj::ArrayPtr<const kj::byte> systemCertificates);

  // As a person knows it: "docker.io".
  kj::StringPtr host() const { return name; }

  // "https://registry-1.docker.io"
  kj::StringPtr origin() const { return originUrl; }
  const UrlParts& originParts() const { return parts; }
  bool isHome(const UrlParts& other) const { return other.sameOrigin(parts); }

  // Plain HTTP reaches the registry itself at most, and that where it is configured.
  bool mayRequest(const UrlParts& other) const {
    return other.scheme == "https" || (other.scheme == "http" && isHome(other));
  }

  // Whether that host may be shown the credentials, for a token: the registry's own, the one that
  // Docker's registry is known to use, and those that are configured.
  bool mayShowCredentials(const UrlParts& other) const;

  // How a request to there goes. The client certificate is for the registry alone.
  HttpRoute route(const UrlParts& other) const;

  // The name by which `other` may be the machine itself, or empty.
  kj::String loopbackFor(const UrlParts& other) const;

  struct None {};
  struct Password {
    kj::String user;
    Secret password;

    // "Basic ..."
    kj::String basic() const;
  };
  struct RegistryToken {
    Secret token;
  };
  struct IdentityToken {
    Secret token;
  };
  using Credentials = kj::OneOf<None, Password, RegistryToken, IdentityToken>;
  const Credentials& credentials() const { return secrets; }

  uint64_t bytesPerSecond() const { return rate; }

 private:
  kj::String name;
  kj::String originUrl;
  UrlParts parts;
  kj::String loopbackHost;
  kj::Array<kj::byte> homeCertificates;
  kj::Array<kj::byte> otherCertificates;
  kj::Array<kj::byte> clientCertificate;
  kj::Array<kj::byte> clientKey;
  kj::String proxy;
  kj::Maybe<Secret> proxyUser;
  kj::Vector<kj::String> tokenHosts;
  kj::Duration stall;
  uint64_t rate;
  Credentials secrets;
};

// Visible characters only, as a header's value wants them.
bool isTokenText(kj::StringPtr text);

}  // namespace bulkhead
