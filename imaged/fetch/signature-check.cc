// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/signature-check.h"

#include <kj/debug.h>

#include "imaged/documents.h"

namespace bulkhead {

SignatureCheck::SignatureCheck(schema::SignaturePolicy::Reader policy, RepositorySource& source,
                               kj::StringPtr repository, kj::StringPtr subjectParam)
    : source(source),
      subject(kj::str(subjectParam)),
      identity(kj::str(policy.getIdentity().size() > 0 ? policy.getIdentity() : repository)) {
  switch (policy.getKind()) {
    case schema::SignaturePolicy::Kind::INSECURE_ACCEPT_ANYTHING:
      return;
    case schema::SignaturePolicy::Kind::SIGSTORE_SIGNED:
      wanted = Wanted::signature;
      for (auto pem : policy.getKeys()) keys.add(PublicKey::parse(pem, subject));
      if (keys.size() == 0) fail(FailureCode::INVALID, subject, "the signature policy has no key");
      return;
    default:
      fail(FailureCode::DENIED, subject, "the signature policy rejects this repository");
  }
}

kj::Promise<void> SignatureCheck::run(kj::ArrayPtr<const Digest> chain,
                                      schema::SignatureVerdict::Builder out) {
  if (wanted == Wanted::nothing) co_return;
  kj::String why;
  for (const auto& digest : chain) {
    if (co_await checkDocument(digest, out, why)) co_return;
  }
  fail(FailureCode::DENIED, subject, kj::str("no signature that the policy wants: ", why),
       "sign it with cosign and the key that imaged.toml names, or change the policy");
}

kj::Promise<bool> SignatureCheck::checkDocument(const Digest& signedDigest,
                                                schema::SignatureVerdict::Builder out,
                                                kj::String& why) {
  SignatureLimits limits;
  RegistryClient::Answer answer;
  auto path = kj::str("manifests/", signatureTag(signedDigest));
  try {
    answer =
        co_await source.getDocument(path, acceptedManifestTypes(), limits.manifestBytes, subject);
  } catch (...) {
    auto exception = kj::getCaughtExceptionAsKj();
    if (!isFailure(exception, FailureCode::NOT_FOUND)) kj::throwFatalException(kj::mv(exception));
    if (why.size() == 0) why = kj::str("there is none of ", signedDigest);
    co_return false;
  }
  auto entries = parseSignatures(answer.body, subject, limits);
  if (entries.size() == 0) why = kj::str("there is none of ", signedDigest);
  for (const auto& entry : entries) {
    if (co_await checkEntry(entry, signedDigest, out, why)) co_return true;
  }
  co_return false;
}

kj::Promise<bool> SignatureCheck::checkEntry(const SignatureEntry& entry,
                                             const Digest& signedDigest,
                                             schema::SignatureVerdict::Builder out,
                                             kj::String& why) {
  auto path = kj::str("blobs/", entry.payload);
  auto answer = co_await source.getDocument(path, "", SignatureLimits().payloadBytes, subject);
  if (answer.body.size() != entry.size || !entry.payload.names(answer.body)) {
    fail(FailureCode::DIGEST_MISMATCH, subject,
         kj::str("the registry sends another signature payload than ", entry.payload));
  }
  // The signature comes first: what nobody vouches for is not even parsed.
  const PublicKey* signer = nullptr;
  for (const auto& key : keys) {
    if (key.verify(answer.body, entry.signature)) signer = &key;
  }
  if (signer == nullptr) {
    why = kj::str("one is not by a key of the policy");
    co_return false;
  }
  auto claim = parsePayload(answer.body, subject);
  if (claim.manifest != signedDigest) {
    why = kj::str("one is for ", claim.manifest, ", not for ", signedDigest);
    co_return false;
  }
  if (claim.repository != identity) {
    why = kj::str("one is for the repository ", claim.repository, ", not for ", identity);
    co_return false;
  }
  out.setKind(schema::SignatureVerdict::Kind::VERIFIED);
  out.setKeyFingerprint(signer->fingerprint().toString());
  out.setSignedDigest(signedDigest.toString());
  out.setIdentity(claim.repository);
  co_return true;
}

}  // namespace bulkhead
