// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/io.h>

#include "imaged/store/config-reader.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kMostFile = 1u << 20;
constexpr uint64_t kMostBytes = uint64_t{1} << 50;
constexpr uint64_t kMostEntries = 100'000'000;

void readStore(ConfigTable& root, ImagedConfig& config) {
  KJ_IF_MAYBE (store, root.table("store")) {
    config.storeQuota = store->number("quota", 0, kMostBytes).orDefault(0);
    KJ_IF_MAYBE (name, store->text("compression")) {
      if (*name == "zstd") {
        config.compression = schema::BlockCompression::ZSTD;
      } else if (*name != "lz4") {
        store->reject("compression", "is none that images are packed with", "lz4 or zstd");
      }
    }
    store->finish();
  }
}

void readRegistries(ConfigTable& root, ImagedConfig& config) {
  for (auto& section : root.tables("registry")) {
    if (!isRegistryName(section.name)) {
      root.reject("registry",
                  kj::str("has a section '", printable(section.name, 256),
                          "', which is no registry's name"),
                  "HOST or HOST:PORT, in lower case");
    }
    auto registry = readRegistry(section.table);
    config.registries.insert(kj::mv(section.name), kj::mv(registry));
  }
}

void readSignatures(ConfigTable& root, ImagedConfig& config) {
  for (auto& section : root.tables("signature")) {
    auto policy = readSignature(section.table);
    if (section.name == "default") {
      config.signatures = kj::mv(policy);
      continue;
    }
    if (!isRepositoryScope(section.name)) {
      root.reject("signature",
                  kj::str("has a section '", printable(section.name, 256), "', which is no scope"),
                  "default, or HOST[:PORT][/PATH]");
    }
    config.signaturesByScope.insert(kj::mv(section.name), kj::mv(policy));
  }
}

void writeProxy(const ProxyConfig& proxy, schema::Registry::Builder out) {
  out.setProxy(proxy.address);
  KJ_IF_MAYBE (credentials, proxy.credentials) credentials->write(out.initProxyCredentials());
}

}  // namespace

ImagedConfig ImagedConfig::load(kj::StringPtr path) {
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC);
  if (raw < 0 && errno == ENOENT) return ImagedConfig();
  if (raw < 0) KJ_FAIL_SYSCALL("open", errno, path);
  return parse(kj::FdInputStream(kj::AutoCloseFd(raw)).readAllText(kMostFile), path);
}

ImagedConfig ImagedConfig::parse(kj::StringPtr content, kj::StringPtr path) {
  ConfigTable::File file(content, path);
  auto root = file.root();
  ImagedConfig config;
  KJ_IF_MAYBE (registry, root.text("default-registry")) {
    if (!isRegistryName(*registry)) {
      root.reject("default-registry", "is not a registry's name",
                  "HOST or HOST:PORT, in lower case");
    }
    config.defaultRegistry = kj::mv(*registry);
  }
  for (auto& directory : root.texts("layout-directories")) {
    root.checked("layout-directories", [&]() { Reference::parse(kj::str("oci:", directory), ""); });
    config.layoutDirectories.add(kj::mv(directory));
  }
  KJ_IF_MAYBE (bytes, root.number("max-image-bytes", 1, kMostBytes)) {
    config.maxImageBytes = *bytes;
  }
  KJ_IF_MAYBE (entries, root.number("max-image-entries", 1, kMostEntries)) {
    config.maxImageEntries = *entries;
  }
  readStore(root, config);
  KJ_IF_MAYBE (docker, root.text("docker-config")) {
    root.checked("docker-config", [&]() { config.dockerCredentials.importDockerConfig(*docker); });
  }
  config.proxy = readProxy(root);
  readRegistries(root, config);
  readSignatures(root, config);
  root.finish();
  return config;
}

void ImagedConfig::describeHost(kj::StringPtr host, kj::StringPtr repository,
                                schema::Registry::Builder out) const {
  out.setHost(host);
  writeProxy(proxy, out);
  KJ_IF_MAYBE (credentials, dockerCredentials.find(kj::str(host, "/", repository))) {
    credentials->write(out.initCredentials());
  }
  KJ_IF_MAYBE (registry, registries.find(host)) {
    out.setScheme(registry->scheme);
    out.setCaBundle(registry->certificates.asBytes());
    out.setClientCertificate(registry->clientCertificate.asBytes());
    out.setClientKey(registry->clientKey.reveal().asBytes());
    KJ_IF_MAYBE (credentials, registry->credentials) credentials->write(out.initCredentials());
    auto tokenHosts = out.initTokenHosts(static_cast<uint>(registry->tokenHosts.size()));
    for (uint i = 0; i < tokenHosts.size(); ++i) tokenHosts.set(i, registry->tokenHosts[i]);
    KJ_IF_MAYBE (own, registry->proxy) writeProxy(*own, out);
    out.setBytesPerSecond(registry->bytesPerSecond);
    out.setStallSeconds(registry->stallSeconds);
  }
}

void ImagedConfig::describeRegistry(const Reference& reference,
                                    schema::Registry::Builder out) const {
  describeHost(reference.registry, reference.repository, out);
  KJ_IF_MAYBE (registry, registries.find(reference.registry)) {
    auto mirrors = out.initMirrors(static_cast<uint>(registry->mirrors.size()));
    for (uint i = 0; i < mirrors.size(); ++i) {
      const auto& mirror = registry->mirrors[i];
      auto there = mirror.prefix.size() == 0 ? kj::str(reference.repository)
                                             : kj::str(mirror.prefix, "/", reference.repository);
      describeHost(mirror.host, there, mirrors[i]);
      mirrors[i].setRepositoryPrefix(mirror.prefix);
      mirrors[i].setBytesPerSecond(registry->bytesPerSecond);
    }
  }
}

const SignatureConfig& ImagedConfig::signaturesOf(const Reference& reference) const {
  auto name = kj::str(reference.registry, "/", reference.repository);
  KJ_IF_MAYBE (found, findScope(signaturesByScope, name)) {
    return *found;
  }
  return signatures;
}

void ImagedConfig::describeSignatures(const Reference& reference,
                                      schema::SignaturePolicy::Builder out) const {
  const auto& policy = signaturesOf(reference);
  out.setKind(policy.kind);
  auto keys = out.initKeys(static_cast<uint>(policy.keys.size()));
  for (uint i = 0; i < keys.size(); ++i) keys.set(i, policy.keys[i].asBytes());
  out.setIdentity(policy.identity);
}

bool ImagedConfig::acceptsVerdict(const Reference& reference,
                                  schema::SignatureVerdict::Reader verdict) const {
  if (reference.source == Reference::Source::layout) return true;
  const auto& policy = signaturesOf(reference);
  switch (policy.kind) {
    case schema::SignaturePolicy::Kind::INSECURE_ACCEPT_ANYTHING:
      return true;
    case schema::SignaturePolicy::Kind::SIGSTORE_SIGNED:
      break;
    default:
      return false;
  }
  if (verdict.getKind() != schema::SignatureVerdict::Kind::VERIFIED) return false;
  auto identity = policy.identity.size() > 0
                      ? kj::str(policy.identity)
                      : kj::str(reference.registry, "/", reference.repository);
  bool key = false;
  for (const auto& fingerprint : policy.fingerprints) {
    key = key || verdict.getKeyFingerprint() == fingerprint;
  }
  return key && verdict.getIdentity() == identity;
}

}  // namespace bulkhead
