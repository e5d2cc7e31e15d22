// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/access.h"

#include <grp.h>
#include <pwd.h>

#include "services/runtime/failure.h"
#include "services/zoned/toml-file.h"

namespace bulkhead {
namespace {

constexpr size_t kNameBuffer = 16384;
constexpr int64_t kLargestId = 0x7fffffff;

kj::Maybe<uid_t> hostUser(kj::StringPtr name) {
  passwd entry{};
  passwd* found = nullptr;
  auto buffer = kj::heapArray<char>(kNameBuffer);
  if (getpwnam_r(name.cStr(), &entry, buffer.begin(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return nullptr;
  }
  return found->pw_uid;
}

kj::Maybe<gid_t> hostGroup(kj::StringPtr name) {
  group entry{};
  group* found = nullptr;
  auto buffer = kj::heapArray<char>(kNameBuffer);
  if (getgrnam_r(name.cStr(), &entry, buffer.begin(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return nullptr;
  }
  return found->gr_gid;
}

// Adds every identity an array of names and numbers means.
void readIds(const toml::node& node, kj::StringPtr path, kj::StringPtr key,
             kj::Function<kj::Maybe<uint32_t>(kj::StringPtr)>& resolve,
             kj::HashSet<uint32_t>& out) {
  auto* list = node.as_array();
  if (list == nullptr) fail(FailureCode::INVALID, path, kj::str(key, " is not a list"));
  for (const auto& entry : *list) {
    if (auto number = entry.value_exact<int64_t>()) {
      if (*number < 0 || *number > kLargestId) {
        fail(FailureCode::INVALID, path, kj::str(key, ": ", *number, " is no identity"));
      }
      out.upsert(static_cast<uint32_t>(*number), [](auto&, auto&&) {});
    } else if (auto name = entry.value_exact<std::string>()) {
      KJ_IF_MAYBE (id, resolve(kj::StringPtr(name->c_str(), name->size()))) {
        out.upsert(*id, [](auto&, auto&&) {});
      }
    } else {
      fail(FailureCode::INVALID, path,
           kj::str(key, " holds something else than names and numbers"));
    }
  }
}

}  // namespace

NameService NameService::ofHost() { return {hostUser, hostGroup}; }

bool AccessPolicy::Members::include(const PeerIdentity& peer) const {
  if (users.contains(peer.user) || groups.contains(peer.group)) return true;
  for (gid_t group : peer.groups) {
    if (groups.contains(group)) return true;
  }
  return false;
}

AccessPolicy AccessPolicy::load(kj::StringPtr path, NameService& names) {
  KJ_IF_MAYBE (text, readConfigFile(path)) {
    return parse(*text, path, names);
  }
  return parse("", path, names);
}

AccessPolicy AccessPolicy::parse(kj::StringPtr text, kj::StringPtr path, NameService& names) {
  auto table = parseToml(text, path);
  AccessPolicy policy;
  policy.administrators.users.insert(0);
  if (!table.contains("groups")) {
    KJ_IF_MAYBE (group, names.group("bulkhead")) {
      policy.users.groups.insert(*group);
    }
  }
  for (const auto& [rawKey, node] : table) {
    std::string_view key = rawKey.str();
    if (key == "users") {
      readIds(node, path, "users", names.user, policy.users.users);
    } else if (key == "groups") {
      readIds(node, path, "groups", names.group, policy.users.groups);
    } else if (key == "administrators") {
      readIds(node, path, "administrators", names.user, policy.administrators.users);
    } else if (key == "administrator-groups") {
      readIds(node, path, "administrator-groups", names.group, policy.administrators.groups);
    } else {
      fail(FailureCode::INVALID, path,
           kj::str("unknown key ", kj::arrayPtr(key.data(), key.size())));
    }
  }
  return policy;
}

Role AccessPolicy::roleOf(const PeerIdentity& peer) const {
  if (administrators.include(peer)) return Role::administrator;
  return users.include(peer) ? Role::user : Role::none;
}

}  // namespace bulkhead
