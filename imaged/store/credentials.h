// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/map.h>
#include <kj/one-of.h>

#include "schemas/image.capnp.h"
#include "services/runtime/log.h"

namespace bulkhead {

// What opens a registry, or a proxy.
class RegistryCredentials {
 public:
  struct Password {
    kj::String user;
    Secret password;
  };
  struct IdentityToken {
    Secret token;
  };
  struct RegistryToken {
    Secret token;
  };

  template <typename Kind>
  explicit RegistryCredentials(Kind kind) : value(kj::mv(kind)) {}

  // From a file of ours, TOML, one of these:
  //
  //   user = "NAME"
  //   password = "..."
  //
  //   identity-token = "..."     # for the token service, OAuth 2.0
  //   registry-token = "..."     # for the registry itself
  //
  // Fails as readSecretFile, and with `invalid` for any other content; no error shows any of it.
  static RegistryCredentials load(kj::StringPtr path);

  bool isPassword() const { return value.is<Password>(); }
  void write(schema::Credentials::Builder out) const;

 private:
  kj::OneOf<Password, IdentityToken, RegistryToken> value;
};

// Credentials by what they are for: "registry.example", or a part of it, "registry.example/team".
class CredentialsByScope {
 public:
  // Takes the credentials out of Docker's config.json or Podman's auth.json: "auths", with "auth",
  // "username" and "password", "identitytoken", "registrytoken". Fails as readSecretFile, with
  // `invalid` for what is not such a file, `unsupported` where it leaves a registry to a credential
  // helper, which is a program to be run.
  void importDockerConfig(kj::StringPtr path);

  // Those of the longest scope that `name`, "registry.example/team/app", lies in.
  kj::Maybe<const RegistryCredentials&> find(kj::StringPtr name) const;

 private:
  kj::HashMap<kj::String, RegistryCredentials> scopes;
};

// The longest of these scopes that `name` lies in: it is the name, or what stands before one of its
// slashes.
template <typename Value>
kj::Maybe<const Value&> findScope(const kj::HashMap<kj::String, Value>& scopes,
                                  kj::StringPtr name) {
  auto scope = kj::str(name);
  for (;;) {
    KJ_IF_MAYBE (found, scopes.find(scope)) {
      return *found;
    }
    KJ_IF_MAYBE (slash, scope.findLast('/')) {
      scope = kj::str(scope.slice(0, *slash));
    } else {
      return nullptr;
    }
  }
}

// A file's text, at most 1 MiB. Fails with `invalid` where it is not there, or where anybody but
// its owner (imaged's user, or root) and imaged's group may read or change it.
kj::String readSecretFile(kj::StringPtr path);

}  // namespace bulkhead
