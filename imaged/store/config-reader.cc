// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/config-reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/io.h>

#include "imaged/public-key.h"
#include "imaged/store/pem-file.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kMostFile = 1u << 20;
constexpr uint64_t kMostMirrors = 16;
constexpr uint64_t kLeastBytesPerSecond = 64u << 10;
constexpr uint64_t kMostBytesPerSecond = uint64_t{1} << 40;
constexpr uint64_t kMostStallSeconds = 3600;
constexpr kj::StringPtr kHosts = "HOST or HOST:PORT, in lower case"_kj;

kj::String readFile(kj::StringPtr path) {
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC);
  if (raw < 0) {
    fail(FailureCode::INVALID, path, kj::str(path, " cannot be read: ", strerror(errno)),
         "a file that the user bulkhead-imaged may read");
  }
  return kj::FdInputStream(kj::AutoCloseFd(raw)).readAllText(kMostFile);
}

// "mirror.example:5000" or "harbor.example/docker-hub".
RegistryConfig::Mirror readMirror(ConfigTable& table, kj::StringPtr text) {
  if (!isRepositoryScope(text)) {
    table.reject("mirrors", "does not name registries", "HOST[:PORT] or HOST[:PORT]/PREFIX");
  }
  KJ_IF_MAYBE (slash, text.findFirst('/')) {
    return {kj::str(text.slice(0, *slash)), kj::str(text.slice(*slash + 1))};
  }
  return {kj::str(text), kj::String()};
}

void readTls(ConfigTable& table, RegistryConfig& registry) {
  KJ_IF_MAYBE (path, table.text("ca-file")) {
    table.checked("ca-file", [&]() {
      registry.certificates = readFile(*path);
      requireCertificates(registry.certificates, *path);
    });
  }
  auto certificate = table.text("client-certificate");
  auto key = table.text("client-key");
  if ((certificate == nullptr) != (key == nullptr)) {
    table.reject(certificate == nullptr ? "client-certificate" : "client-key", "is missing",
                 "client-certificate and client-key go together");
  }
  KJ_IF_MAYBE (path, certificate) {
    table.checked("client-certificate", [&]() {
      registry.clientCertificate = readFile(*path);
      requireCertificates(registry.clientCertificate, *path);
    });
  }
  KJ_IF_MAYBE (path, key) {
    table.checked("client-key", [&]() {
      registry.clientKey = Secret(readSecretFile(*path));
      requireKeyOf(registry.clientCertificate, registry.clientKey.reveal(), *path);
    });
  }
}

bool isProxyAddress(kj::StringPtr text) {
  if (!text.startsWith("http://")) return false;
  auto host = text.slice(7);
  if (host.endsWith("/")) return false;
  return isRegistryName(host);
}

}  // namespace

bool isRepositoryScope(kj::StringPtr text) {
  try {
    // Two names behind it, so that Docker's registry adds none.
    auto name = kj::str(text, "/x/x");
    auto reference = Reference::parse(kj::str(name, ":x"), "default.invalid");
    return reference.source == Reference::Source::registry &&
           reference.registry != "default.invalid" &&
           kj::str(reference.registry, "/", reference.repository) == name;
  } catch (const kj::Exception&) {
    return false;
  }
}

bool isRegistryName(kj::StringPtr text) {
  if (text.findFirst('/') != nullptr) return false;
  try {
    // A name with a dot or a port, "localhost", or one that stands where only a registry can.
    return Reference::parse("x:y", text).registry == text;
  } catch (const kj::Exception&) {
    return false;
  }
}

ProxyConfig readProxy(ConfigTable& table) {
  ProxyConfig proxy;
  KJ_IF_MAYBE (address, table.text("proxy")) {
    if (*address != "none") {
      if (!isProxyAddress(*address)) {
        table.reject("proxy", "is not a proxy's address",
                     "http://HOST:PORT, or none; user and password go to proxy-credentials-file");
      }
      proxy.address = kj::mv(*address);
    }
  }
  KJ_IF_MAYBE (path, table.text("proxy-credentials-file")) {
    if (proxy.address.size() == 0) {
      table.reject("proxy-credentials-file", "stands without a proxy", "proxy beside it");
    }
    proxy.credentials =
        table.checked("proxy-credentials-file", [&]() { return RegistryCredentials::load(*path); });
    if (!KJ_ASSERT_NONNULL(proxy.credentials).isPassword()) {
      table.reject("proxy-credentials-file", "names a file with a token in it",
                   "user and password");
    }
  }
  return proxy;
}

RegistryConfig readRegistry(ConfigTable& table) {
  RegistryConfig registry;
  if (table.flag("insecure-http").orDefault(false)) {
    registry.scheme = schema::Registry::Scheme::HTTP;
  }
  for (const auto& mirror : table.texts("mirrors")) {
    registry.mirrors.add(readMirror(table, mirror));
  }
  if (registry.mirrors.size() > kMostMirrors) {
    table.reject("mirrors", "are too many", kj::str("at most ", kMostMirrors));
  }
  readTls(table, registry);
  KJ_IF_MAYBE (path, table.text("credentials-file")) {
    registry.credentials =
        table.checked("credentials-file", [&]() { return RegistryCredentials::load(*path); });
  }
  for (auto& host : table.texts("token-hosts")) {
    if (!isRegistryName(host)) table.reject("token-hosts", "does not name hosts", kHosts);
    registry.tokenHosts.add(kj::mv(host));
  }
  bool ownProxy = table.has("proxy");
  auto proxy = readProxy(table);
  if (ownProxy) registry.proxy = kj::mv(proxy);
  KJ_IF_MAYBE (rate,
               table.number("max-bytes-per-second", kLeastBytesPerSecond, kMostBytesPerSecond)) {
    registry.bytesPerSecond = *rate;
  }
  KJ_IF_MAYBE (seconds, table.number("stall-seconds", 1, kMostStallSeconds)) {
    registry.stallSeconds = static_cast<uint32_t>(*seconds);
  }
  table.finish();
  return registry;
}

SignatureConfig readSignature(ConfigTable& table) {
  using Kind = schema::SignaturePolicy::Kind;
  constexpr auto kinds = "insecureAcceptAnything, reject, sigstoreSigned"_kj;
  SignatureConfig result;
  KJ_IF_MAYBE (policy, table.text("policy")) {
    if (*policy == "reject") {
      result.kind = Kind::REJECT;
    } else if (*policy == "sigstoreSigned") {
      result.kind = Kind::SIGSTORE_SIGNED;
    } else if (*policy != "insecureAcceptAnything") {
      table.reject("policy", "is none that is known", kinds);
    }
  } else {
    table.reject("policy", "is missing", kinds);
  }
  for (const auto& path : table.texts("key-files")) {
    table.checked("key-files", [&]() {
      auto pem = readFile(path);
      result.fingerprints.add(PublicKey::parse(pem.asBytes(), path).fingerprint().toString());
      result.keys.add(kj::mv(pem));
    });
  }
  KJ_IF_MAYBE (identity, table.text("signed-identity")) {
    if (!isRepositoryScope(*identity) || kj::StringPtr(*identity).findFirst('/') == nullptr) {
      table.reject("signed-identity", "is not a repository", "HOST/REPOSITORY");
    }
    result.identity = kj::mv(*identity);
  }
  bool needsKeys = result.kind == Kind::SIGSTORE_SIGNED;
  if (needsKeys != (result.keys.size() > 0)) {
    table.reject("key-files", needsKeys ? "is missing" : "means nothing with this policy",
                 "sigstoreSigned with one key file at least");
  }
  table.finish();
  return result;
}

}  // namespace bulkhead
