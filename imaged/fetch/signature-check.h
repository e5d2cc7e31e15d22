// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "imaged/fetch/repository-source.h"
#include "imaged/fetch/signature.h"
#include "imaged/public-key.h"

namespace bulkhead {

// Holds one image against a signature policy. What is signed may be the manifest or an index that
// led to it: each names the next by its digest.
class SignatureCheck {
 public:
  // `policy` and `source` are borrowed. `repository` is what signatures must name where the policy
  // does not say: "registry.example/team/app". Fails with `denied` where the policy is to reject,
  // `invalid` where it makes no sense.
  SignatureCheck(schema::SignaturePolicy::Reader policy, RepositorySource& source,
                 kj::StringPtr repository, kj::StringPtr subject);

  // Succeeds where one of the documents `chain` carries a signature by one of the keys, over its
  // digest and the repository's name. Fails with `denied` and says what was wrong with the last
  // one looked at. `chain` lives until the promise resolves.
  kj::Promise<void> run(kj::ArrayPtr<const Digest> chain, schema::SignatureVerdict::Builder out);

 private:
  RepositorySource& source;
  kj::String subject;
  kj::String identity;
  kj::Vector<PublicKey> keys;
  enum class Wanted { nothing, signature } wanted = Wanted::nothing;

  kj::Promise<bool> checkDocument(const Digest& signedDigest, schema::SignatureVerdict::Builder out,
                                  kj::String& why);
  kj::Promise<bool> checkEntry(const SignatureEntry& entry, const Digest& signedDigest,
                               schema::SignatureVerdict::Builder out, kj::String& why);
};

}  // namespace bulkhead
