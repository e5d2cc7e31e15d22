// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/map.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "schemas/image-worker.capnp.h"

namespace bulkhead {

// What is said of one registry.
struct RegistryConfig {
  schema::Registry::Scheme scheme = schema::Registry::Scheme::HTTPS;
  kj::String certificates;  // PEM; empty: the system's
};

// /etc/bulkhead/imaged.toml:
//
//   default-registry = "docker.io"
//   layout-directories = ["/usr/share/bulkhead/images"]
//   max-image-bytes = 17179869184      # uncompressed
//   max-image-entries = 2000000
//
//   [store]
//   quota = 107374182400               # bytes of layers and packed images; 0: no bound
//
//   [registry."localhost:5000"]
//   insecure-http = true               # plain HTTP, for this registry only
//
//   [registry."registry.example"]
//   ca-file = "/etc/bulkhead/registry.pem"
struct ImagedConfig {
  kj::String defaultRegistry = kj::str("docker.io");
  kj::Vector<kj::String> layoutDirectories;
  uint64_t maxImageBytes = uint64_t{16} << 30;
  uint64_t maxImageEntries = 2'000'000;
  uint64_t storeQuota = 0;
  kj::HashMap<kj::String, RegistryConfig> registries;

  // Reads the file, and the files it names. A missing file means the defaults; a key nobody knows
  // is an error, and all errors name file and line.
  static ImagedConfig load(kj::StringPtr path);

  // The same, from text. `path` is for errors.
  static ImagedConfig parse(kj::StringPtr text, kj::StringPtr path);

  // Where and how a registry is reached.
  void describeRegistry(kj::StringPtr host, schema::Registry::Builder out) const;
};

}  // namespace bulkhead
