// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/common.h>
#include <kj/string.h>

#include "imaged/digest.h"

namespace bulkhead {

// What an image is asked for by: "debian", "registry.example:5000/team/app:1.2@sha256:...", or
// "oci:/srv/layouts/app:1.2" for an OCI layout directory. The grammar is that of the OCI
// distribution specification for repository and tag, and Docker's for the registry in front.
struct Reference {
  enum class Source { registry, layout };

  Source source = Source::registry;
  kj::String registry;    // "registry.example:5000", lower case; empty for a layout
  kj::String repository;  // "team/app"; empty for a layout
  kj::String directory;   // "/srv/layouts/app"; empty for a registry
  kj::String tag;         // may be empty where there is a digest, or for a layout of one image
  kj::Maybe<Digest> digest;

  // Fails with `invalid` and says which part is wrong. `defaultRegistry` is where names without a
  // registry live.
  static Reference parse(kj::StringPtr text, kj::StringPtr defaultRegistry);

  Reference clone() const;

  // The one spelling: everything that is known, defaults filled in.
  kj::String canonical() const;

  // The same, with this manifest named.
  kj::String canonicalWith(const Digest& manifest) const;

  // The registry without a port, brackets of an IPv6 address removed.
  kj::String registryHost() const;
};

// Whether this text names the machine itself: 127.0.0.0/8, ::1 or "localhost".
bool isLoopbackHost(kj::StringPtr host);

}  // namespace bulkhead
