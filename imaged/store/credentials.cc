// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/io.h>

#include "imaged/json.h"
#include "imaged/store/config-table.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kMostFile = 1u << 20;
constexpr kj::StringPtr kDockerHub = "docker.io"_kj;

constexpr kj::StringPtr kAllowed =
    "either user and password, or identity-token, or registry-token"_kj;

// "https://index.docker.io/v1/" and "registry.example/team" as scopes: Docker writes URLs for some
// registries, whose path means the version of the protocol; Podman writes names of repositories.
kj::String scopeOf(kj::StringPtr key) {
  kj::StringPtr rest = key;
  for (auto scheme : {"https://"_kj, "http://"_kj}) {
    if (rest.startsWith(scheme)) rest = rest.slice(scheme.size());
  }
  size_t end = rest.size();
  while (end > 0 && rest[end - 1] == '/') --end;
  auto scope = kj::str(rest.slice(0, end));
  for (auto version : {"/v1"_kj, "/v2"_kj}) {
    if (scope.endsWith(version)) scope = kj::str(scope.slice(0, scope.size() - version.size()));
  }
  if (scope == "index.docker.io" || scope == "registry-1.docker.io") scope = kj::str(kDockerHub);
  return scope;
}

RegistryCredentials::Password decodeAuth(const JsonView& entry, kj::StringPtr auth) {
  auto bytes = kj::decodeBase64(auth);
  auto text = kj::heapString(bytes.asChars());
  if (bytes.hadErrors || memchr(text.begin(), 0, text.size()) != nullptr) {
    entry.reject("has an 'auth' that is not base64 of USER:PASSWORD");
  }
  KJ_IF_MAYBE (colon, text.findFirst(':')) {
    return {kj::str(text.slice(0, *colon)), Secret(kj::str(text.slice(*colon + 1)))};
  }
  entry.reject("has an 'auth' that is not base64 of USER:PASSWORD");
}

kj::Maybe<RegistryCredentials> readEntry(const JsonView& entry) {
  auto identity = entry.textOf("identitytoken", 64u << 10);
  if (identity.size() > 0) {
    return RegistryCredentials(RegistryCredentials::IdentityToken{Secret(kj::mv(identity))});
  }
  auto token = entry.textOf("registrytoken", 64u << 10);
  if (token.size() > 0) {
    return RegistryCredentials(RegistryCredentials::RegistryToken{Secret(kj::mv(token))});
  }
  auto auth = entry.textOf("auth", 64u << 10);
  if (auth.size() > 0) return RegistryCredentials(decodeAuth(entry, auth));
  auto user = entry.textOf("username", 1024);
  if (user.size() > 0) {
    return RegistryCredentials(
        RegistryCredentials::Password{kj::mv(user), Secret(entry.textOf("password", 64u << 10))});
  }
  return nullptr;
}

}  // namespace

kj::String readSecretFile(kj::StringPtr path) {
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (raw < 0) {
    fail(FailureCode::INVALID, path, kj::str("cannot be read: ", strerror(errno)),
         "a file that the user bulkhead-imaged may read");
  }
  kj::AutoCloseFd fd(raw);
  struct stat status;
  KJ_SYSCALL(fstat(fd, &status));
  bool owner = status.st_uid == 0 || status.st_uid == geteuid();
  mode_t group = status.st_gid == getegid() ? mode_t{S_IRGRP} : mode_t{0};
  mode_t allowed = S_IRUSR | S_IWUSR | group;
  if (!S_ISREG(status.st_mode) || !owner || (status.st_mode & 07777 & ~allowed) != 0) {
    fail(FailureCode::INVALID, path, "others than imaged may read or change this file",
         "chown bulkhead-imaged and chmod 400");
  }
  return kj::FdInputStream(kj::mv(fd)).readAllText(kMostFile);
}

RegistryCredentials RegistryCredentials::load(kj::StringPtr path) {
  ConfigTable::File file(readSecretFile(path), path, ConfigTable::File::Content::secret);
  auto root = file.root();
  auto user = root.text("user");
  auto password = root.text("password");
  auto identity = root.text("identity-token");
  auto token = root.text("registry-token");
  root.finish();
  uint kinds =
      (user == nullptr ? 0u : 1u) + (identity == nullptr ? 0u : 1u) + (token == nullptr ? 0u : 1u);
  if (kinds != 1 || (user == nullptr) != (password == nullptr)) {
    fail(FailureCode::INVALID, path, "line 1: it does not hold one kind of credentials", kAllowed);
  }
  KJ_IF_MAYBE (name, user) {
    if (kj::StringPtr(*name).findFirst(':') != nullptr) {
      root.reject("user", "holds a ':'", "a name without one: RFC 7617");
    }
    return RegistryCredentials(
        Password{kj::mv(*name), Secret(kj::mv(KJ_ASSERT_NONNULL(password)))});
  }
  KJ_IF_MAYBE (secret, identity) {
    return RegistryCredentials(IdentityToken{Secret(kj::mv(*secret))});
  }
  return RegistryCredentials(RegistryToken{Secret(kj::mv(KJ_ASSERT_NONNULL(token)))});
}

void RegistryCredentials::write(schema::Credentials::Builder out) const {
  if (value.is<Password>()) {
    auto password = out.initPassword();
    password.setUser(value.get<Password>().user);
    password.setPassword(value.get<Password>().password.reveal());
  } else if (value.is<IdentityToken>()) {
    out.setIdentityToken(value.get<IdentityToken>().token.reveal());
  } else {
    out.setRegistryToken(value.get<RegistryToken>().token.reveal());
  }
}

void CredentialsByScope::importDockerConfig(kj::StringPtr path) {
  auto text = readSecretFile(path);
  JsonLimits limits;
  limits.bytes = kMostFile;
  auto document = parseJson(text.asBytes(), "the file", path, limits);
  JsonView root(document, "the file", path);
  for (auto helper : {"credsStore"_kj, "credHelpers"_kj}) {
    if (!root.has(helper)) continue;
    fail(FailureCode::UNSUPPORTED, path,
         kj::str(helper, " leaves the credentials to a program, and imaged runs none"),
         "write them into \"auths\", or use credentials-file");
  }
  KJ_IF_MAYBE (auths, root.member("auths")) {
    for (const auto& entry : auths->members(4096)) {
      KJ_IF_MAYBE (credentials, readEntry(entry.value)) {
        scopes.upsert(
            scopeOf(entry.key), kj::mv(*credentials),
            [](RegistryCredentials& old, RegistryCredentials&& other) { old = kj::mv(other); });
      }
    }
  }
}

kj::Maybe<const RegistryCredentials&> CredentialsByScope::find(kj::StringPtr name) const {
  return findScope(scopes, name);
}

}  // namespace bulkhead
