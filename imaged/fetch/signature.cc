// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/signature.h"

#include <kj/encoding.h>

#include "imaged/json.h"
#include "imaged/reference.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr kj::StringPtr kPayloadType = "application/vnd.dev.cosign.simplesigning.v1+json"_kj;
constexpr kj::StringPtr kSignatureKey = "dev.cosignproject.cosign/signature"_kj;
constexpr kj::StringPtr kSignatureKind = "cosign container image signature"_kj;
constexpr size_t kMostSignature = 1024;

kj::Array<kj::byte> decoded(const JsonView& layer) {
  auto text = layer.required("annotations").required(kSignatureKey).text(kMostSignature);
  auto bytes = kj::decodeBase64(text);
  if (bytes.hadErrors || bytes.size() == 0) layer.reject("has a signature that is not base64");
  return kj::mv(bytes);
}

}  // namespace

kj::String signatureTag(const Digest& digest) {
  return kj::str(digest.algorithmName(), "-", digest.hex(), ".sig");
}

kj::Vector<SignatureEntry> parseSignatures(kj::ArrayPtr<const kj::byte> manifest,
                                           kj::StringPtr subject, const SignatureLimits& limits) {
  JsonLimits jsonLimits;
  jsonLimits.bytes = limits.manifestBytes;
  auto document = parseJson(manifest, "signatures", subject, jsonLimits);
  JsonView root(document, "signatures", subject);
  if (root.required("schemaVersion").number() != 2) root.reject("is not of schemaVersion 2");
  if (root.has("manifests")) root.reject("could be read both as an index and as a manifest");
  kj::Vector<SignatureEntry> entries;
  for (const auto& layer : root.required("layers").items(4 * limits.signatures)) {
    if (layer.required("mediaType").text(256) != kPayloadType) continue;
    if (entries.size() == limits.signatures) {
      fail(FailureCode::EXHAUSTED, subject,
           kj::str("there are more than ", limits.signatures, " signatures"));
    }
    auto size = layer.required("size").number();
    if (size > limits.payloadBytes) layer.reject("is larger than a payload may be");
    entries.add(SignatureEntry{Digest::parse(layer.required("digest").text(256), subject), size,
                               decoded(layer)});
  }
  return entries;
}

SignaturePayload parsePayload(kj::ArrayPtr<const kj::byte> payload, kj::StringPtr subject) {
  JsonLimits limits;
  limits.bytes = SignatureLimits().payloadBytes;
  auto document = parseJson(payload, "signature", subject, limits);
  JsonView root(document, "signature", subject);
  auto critical = root.required("critical");
  if (critical.required("type").text(256) != kSignatureKind) {
    critical.reject(kj::str("has another type than '", kSignatureKind, "'"));
  }
  auto digest = critical.required("image").required("docker-manifest-digest").text(256);
  auto name = critical.required("identity").required("docker-reference").text(1024);
  auto reference = Reference::parse(name, "docker.io");
  if (reference.source != Reference::Source::registry) {
    critical.reject("names no repository of a registry");
  }
  return {Digest::parse(digest, subject), kj::str(reference.registry, "/", reference.repository)};
}

}  // namespace bulkhead
