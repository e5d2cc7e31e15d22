// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/map.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "imaged/reference.h"
#include "imaged/store/credentials.h"
#include "schemas/image-worker.capnp.h"

namespace bulkhead {

class ConfigTable;

// How requests go to a proxy; an empty address means directly.
struct ProxyConfig {
  kj::String address;  // "http://proxy.example:3128"
  kj::Maybe<RegistryCredentials> credentials;
};

// What is said of one registry.
struct RegistryConfig {
  struct Mirror {
    kj::String host;
    kj::String prefix;  // of its repositories' names; may be empty
  };

  schema::Registry::Scheme scheme = schema::Registry::Scheme::HTTPS;
  kj::String certificates;  // PEM; empty: the system's
  kj::String clientCertificate;
  Secret clientKey{kj::String()};
  kj::Maybe<RegistryCredentials> credentials;
  kj::Vector<kj::String> tokenHosts;
  kj::Vector<Mirror> mirrors;
  kj::Maybe<ProxyConfig> proxy;  // none: as all registries
  uint64_t bytesPerSecond = 0;
  uint32_t stallSeconds = 0;
};

// What images of some repositories must be signed by.
struct SignatureConfig {
  schema::SignaturePolicy::Kind kind = schema::SignaturePolicy::Kind::INSECURE_ACCEPT_ANYTHING;
  kj::Vector<kj::String> keys;          // PEM
  kj::Vector<kj::String> fingerprints;  // of the keys, as PublicKey::fingerprint
  kj::String identity;                  // empty: the repository's own name
};

// /etc/bulkhead/imaged.toml. The file that is installed explains every key.
struct ImagedConfig {
  kj::String defaultRegistry = kj::str("docker.io");
  kj::Vector<kj::String> layoutDirectories;
  uint64_t maxImageBytes = uint64_t{16} << 30;
  uint64_t maxImageEntries = 2'000'000;
  uint64_t storeQuota = 0;  // bytes; 0: no bound
  schema::BlockCompression compression = schema::BlockCompression::LZ4;
  ProxyConfig proxy;
  kj::HashMap<kj::String, RegistryConfig> registries;
  CredentialsByScope dockerCredentials;
  SignatureConfig signatures;                                  // where no scope says otherwise
  kj::HashMap<kj::String, SignatureConfig> signaturesByScope;  // "registry.example/team"

  // Reads the file, and the files it names. A missing file means the defaults. Fails with `invalid`
  // and says file, line, key and what is allowed.
  static ImagedConfig load(kj::StringPtr path);

  // The same, from text. `path` is for errors.
  static ImagedConfig parse(kj::StringPtr text, kj::StringPtr path);

  // Where and how a registry's repository is reached, with mirrors and configured credentials.
  void describeRegistry(const Reference& reference, schema::Registry::Builder out) const;

  // What the repository's images must be signed by. A layout is not asked: that it may be read is
  // said by `layout-directories`.
  void describeSignatures(const Reference& reference, schema::SignaturePolicy::Builder out) const;

  // Whether an image that is here, with this verdict, meets the policy as it is today.
  bool acceptsVerdict(const Reference& reference, schema::SignatureVerdict::Reader verdict) const;

 private:
  void describeHost(kj::StringPtr host, kj::StringPtr repository,
                    schema::Registry::Builder out) const;
  const SignatureConfig& signaturesOf(const Reference& reference) const;
};

}  // namespace bulkhead
