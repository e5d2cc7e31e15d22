// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/registry-endpoint.h"

#include <kj/encoding.h>

#include "imaged/reference.h"

namespace bulkhead {
namespace {

constexpr auto kStall = 30 * kj::SECONDS;

// Docker's registry answers under another name than the one it is known by, and so does its token
// service.
constexpr kj::StringPtr kDockerHub = "docker.io"_kj;
constexpr kj::StringPtr kDockerHubApi = "registry-1.docker.io"_kj;
constexpr kj::StringPtr kDockerHubAuth = "auth.docker.io"_kj;

kj::Array<kj::byte> copyOf(kj::ArrayPtr<const kj::byte> bytes) {
  return kj::heapArray<kj::byte>(bytes.begin(), bytes.size());
}

kj::String originOf(schema::Registry::Reader registry) {
  kj::StringPtr host = registry.getHost();
  bool plain = registry.getScheme() == schema::Registry::Scheme::HTTP;
  return kj::str(plain ? "http://" : "https://", host == kDockerHub ? kDockerHubApi : host);
}

// The machine's own roots and, behind them, those of the registry.
kj::Array<kj::byte> bundle(kj::ArrayPtr<const kj::byte> system, kj::ArrayPtr<const kj::byte> own) {
  kj::Vector<kj::byte> all(system.size() + own.size() + 1);
  all.addAll(system);
  if (own.size() > 0) all.add('\n');
  all.addAll(own);
  return all.releaseAsArray();
}

kj::String checked(kj::StringPtr token, kj::StringPtr host, kj::StringPtr what) {
  if (!isTokenText(token)) fail(FailureCode::INVALID, host, kj::str("the ", what, " is no token"));
  return kj::str(token);
}

// RFC 7617, 2: a user name has no colon, and neither part a control character.
RegistryEndpoint::Password passwordOf(schema::Credentials::Password::Reader given,
                                      kj::StringPtr host) {
  kj::StringPtr user = given.getUser();
  kj::StringPtr password = given.getPassword();
  for (auto text : {user, password}) {
    for (char c : text) {
      auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20 || byte == 0x7f) {
        fail(FailureCode::INVALID, host, "user or password hold a control character");
      }
    }
  }
  if (user.findFirst(':') != nullptr) {
    fail(FailureCode::INVALID, host, "the user name holds a ':'");
  }
  return {kj::str(user), Secret(kj::str(password))};
}

RegistryEndpoint::Credentials credentialsOf(schema::Credentials::Reader given, kj::StringPtr host) {
  switch (given.which()) {
    case schema::Credentials::NONE:
      break;
    case schema::Credentials::PASSWORD:
      return passwordOf(given.getPassword(), host);
    case schema::Credentials::REGISTRY_TOKEN:
      return RegistryEndpoint::RegistryToken{
          Secret(checked(given.getRegistryToken(), host, "registry token"))};
    case schema::Credentials::IDENTITY_TOKEN:
      return RegistryEndpoint::IdentityToken{
          Secret(checked(given.getIdentityToken(), host, "identity token"))};
  }
  return RegistryEndpoint::None{};
}

}  // namespace

bool isTokenText(kj::StringPtr text) {
  if (text.size() == 0) return false;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f) return false;
  }
  return true;
}

kj::String RegistryEndpoint::Password::basic() const {
  return kj::str("Basic ", kj::encodeBase64(kj::str(user, ":", password.reveal()).asBytes()));
}

RegistryEndpoint::RegistryEndpoint(schema::Registry::Reader registry,
                                   kj::ArrayPtr<const kj::byte> systemCertificates)
    : name(kj::str(registry.getHost())),
      originUrl(originOf(registry)),
      parts(parseUrl(originUrl, name)),
      homeCertificates(
          copyOf(registry.getCaBundle().size() > 0 ? registry.getCaBundle() : systemCertificates)),
      otherCertificates(bundle(systemCertificates, registry.getCaBundle())),
      clientCertificate(copyOf(registry.getClientCertificate())),
      clientKey(copyOf(registry.getClientKey())),
      proxy(kj::str(registry.getProxy())),
      stall(registry.getStallSeconds() == 0 ? kStall : registry.getStallSeconds() * kj::SECONDS),
      rate(registry.getBytesPerSecond()),
      secrets(credentialsOf(registry.getCredentials(), name)) {
  if (isLoopbackHost(parts.host)) loopbackHost = kj::str(parts.host);
  for (auto other : registry.getTokenHosts()) tokenHosts.add(kj::str(other));
  if (registry.getProxyCredentials().isPassword()) {
    auto user = passwordOf(registry.getProxyCredentials().getPassword(), proxy);
    proxyUser.emplace(kj::str(urlEscaped(user.user), ":", urlEscaped(user.password.reveal())));
  }
}

bool RegistryEndpoint::mayShowCredentials(const UrlParts& other) const {
  if (!mayRequest(other) || other.hasUser) return false;
  if (other.host == parts.host) return true;
  if (name == kDockerHub && other.host == kDockerHubAuth) return true;
  for (const auto& allowed : tokenHosts) {
    if (other.host == allowed || other.authority() == allowed) return true;
  }
  return false;
}

HttpRoute RegistryEndpoint::route(const UrlParts& other) const {
  HttpRoute route;
  route.proxy = proxy;
  KJ_IF_MAYBE (user, proxyUser) route.proxyUser = *user;
  route.stall = stall;
  if (isHome(other)) {
    route.certificates = homeCertificates;
    route.clientCertificate = clientCertificate;
    route.clientKey = clientKey;
  } else {
    route.certificates = otherCertificates;
  }
  return route;
}

kj::String RegistryEndpoint::loopbackFor(const UrlParts& other) const {
  return other.host == loopbackHost ? kj::str(loopbackHost) : kj::String();
}

}  // namespace bulkhead
