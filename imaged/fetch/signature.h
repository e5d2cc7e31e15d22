// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/vector.h>

#include "imaged/digest.h"

namespace bulkhead {

// Signatures as cosign makes them with a key: beside an image with the digest sha256:DIGITS, the
// tag `sha256-DIGITS.sig` is a manifest whose layers are simple-signing payloads, each with its
// signature in an annotation (sigstore cosign, "Signature specification").

struct SignatureLimits {
  size_t manifestBytes = 1u << 20;
  size_t payloadBytes = 64u << 10;
  size_t signatures = 32;
};

// Where the signatures of that document are: "sha256-DIGITS.sig".
kj::String signatureTag(const Digest& digest);

// One payload and its signature, before anything of it is believed.
struct SignatureEntry {
  Digest payload;
  uint64_t size;
  kj::Array<kj::byte> signature;
};

// What a signatures' manifest names. Layers of other media types are passed over. Fails with
// `invalid`, or `exhausted` where there are too many.
kj::Vector<SignatureEntry> parseSignatures(kj::ArrayPtr<const kj::byte> manifest,
                                           kj::StringPtr subject,
                                           const SignatureLimits& limits = {});

// What a payload claims.
struct SignaturePayload {
  Digest manifest;
  kj::String repository;  // without tag and digest: "registry.example/team/app"
};

// Fails with `invalid` where it is no simple-signing payload of cosign's.
SignaturePayload parsePayload(kj::ArrayPtr<const kj::byte> payload, kj::StringPtr subject);

}  // namespace bulkhead
