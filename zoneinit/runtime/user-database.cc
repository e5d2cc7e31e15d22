// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/user-database.h"

#include <array>

#include <kj/vector.h>

#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

constexpr uint32_t kLargestId = 0x7fffffff;
constexpr size_t kMostGroups = 1024;

using Text = kj::ArrayPtr<const char>;

bool same(Text a, Text b) {
  return a.size() == b.size() && memcmp(a.begin(), b.begin(), a.size()) == 0;
}

bool allDigits(Text text) {
  for (char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return text.size() > 0;
}

kj::Maybe<uint32_t> parseId(Text text) {
  if (!allDigits(text)) return nullptr;
  uint64_t value = 0;
  for (char c : text) {
    value = value * 10 + static_cast<uint64_t>(c - '0');
    if (value > kLargestId) return nullptr;
  }
  return static_cast<uint32_t>(value);
}

// Calls `each` with a line's fields, for lines of exactly `count`, until it returns false.
template <typename Each>
void forEachEntry(kj::StringPtr content, size_t count, Each each) {
  size_t start = 0;
  Text all(content.begin(), content.size());
  for (size_t i = 0; i <= all.size(); ++i) {
    if (i < all.size() && all[i] != '\n') continue;
    auto line = all.slice(start, i);
    start = i + 1;
    std::array<Text, 8> fields;
    size_t found = 0, fieldStart = 0;
    for (size_t j = 0; j <= line.size() && found < 8; ++j) {
      if (j < line.size() && line[j] != ':') continue;
      fields[found++] = line.slice(fieldStart, j);
      fieldStart = j + 1;
    }
    if (found == count && fields[0].size() > 0) {
      if (!each(kj::arrayPtr(fields.data(), found))) return;
    }
  }
}

constexpr size_t kPasswdFields = 7;  // name:password:uid:gid:gecos:home:shell
constexpr size_t kGroupFields = 4;   // name:password:gid:members

[[noreturn]] void unknown(Text name, kj::StringPtr what, kj::StringPtr where) {
  fail(FailureCode::INVALID, printable(name, 64),
       kj::str("the image knows no such ", what, " in ", where),
       "name one the image has, or give a number");
}

uint32_t requireId(Text text, kj::StringPtr what) {
  KJ_IF_MAYBE (id, parseId(text)) {
    return *id;
  }
  fail(FailureCode::INVALID, printable(text, 64), kj::str("the ", what, " number is out of range"),
       "numbers go up to 2147483647");
}

bool listsMember(Text members, Text name) {
  size_t start = 0;
  for (size_t i = 0; i <= members.size(); ++i) {
    if (i < members.size() && members[i] != ',') continue;
    if (same(members.slice(start, i), name)) return true;
    start = i + 1;
  }
  return false;
}

gid_t resolveGroup(Text group, kj::StringPtr groupText) {
  if (allDigits(group)) return requireId(group, "group");
  gid_t found = 0;
  bool isFound = false;
  forEachEntry(groupText, kGroupFields, [&](kj::ArrayPtr<Text> fields) {
    if (!same(fields[0], group)) return true;
    KJ_IF_MAYBE (gid, parseId(fields[2])) {
      found = *gid;
      isFound = true;
      return false;
    }
    return true;
  });
  if (!isFound) unknown(group, "group", "/etc/group");
  return found;
}

}  // namespace

UserIdentity resolveUser(kj::StringPtr user, kj::Maybe<kj::StringPtr> passwd,
                         kj::Maybe<kj::StringPtr> group) {
  UserIdentity identity;
  identity.home = kj::str("/");
  auto passwdText = passwd.orDefault("");
  auto groupText = group.orDefault("");

  Text wanted(user.begin(), user.size());
  Text userPart = wanted, groupPart;
  bool groupGiven = false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] != ':') continue;
    userPart = wanted.slice(0, i);
    groupPart = wanted.slice(i + 1, wanted.size());
    groupGiven = true;
    break;
  }
  if (user.size() == 0) userPart = Text("0", 1);
  if (userPart.size() == 0 || (groupGiven && groupPart.size() == 0)) {
    fail(FailureCode::INVALID, printable(user, 64), "this names no user",
         "write USER or USER:GROUP");
  }

  bool numeric = allDigits(userPart);
  if (numeric) identity.user = requireId(userPart, "user");
  kj::String name;  // of the account, for its supplementary groups
  bool found = false;
  forEachEntry(passwdText, kPasswdFields, [&](kj::ArrayPtr<Text> fields) {
    auto uid = parseId(fields[2]);
    auto gid = parseId(fields[3]);
    uint32_t uidValue = 0, gidValue = 0;
    KJ_IF_MAYBE (value, uid) {
      uidValue = *value;
    } else {
      return true;
    }
    KJ_IF_MAYBE (value, gid) {
      gidValue = *value;
    } else {
      return true;
    }
    if (numeric ? uidValue != identity.user : !same(fields[0], userPart)) return true;
    identity.user = uidValue;
    identity.group = gidValue;
    if (fields[5].size() > 0 && fields[5][0] == '/') identity.home = kj::str(fields[5]);
    name = kj::str(fields[0]);
    found = true;
    return false;
  });
  if (!found && !numeric) unknown(userPart, "user", "/etc/passwd");

  if (groupGiven) {
    identity.group = resolveGroup(groupPart, groupText);
    return identity;  // an explicit group stands alone
  }

  kj::Vector<gid_t> groups;
  if (name.size() > 0) {
    forEachEntry(groupText, kGroupFields, [&](kj::ArrayPtr<Text> fields) {
      KJ_IF_MAYBE (gid, parseId(fields[2])) {
        if (*gid != identity.group && listsMember(fields[3], name)) groups.add(*gid);
      }
      return groups.size() < kMostGroups;
    });
  }
  identity.groups = groups.releaseAsArray();
  return identity;
}

void addGroups(UserIdentity& identity, kj::ArrayPtr<const kj::String> wanted,
               kj::Maybe<kj::StringPtr> group) {
  kj::Vector<gid_t> groups;
  groups.addAll(identity.groups);
  for (auto& each : wanted) {
    auto number = resolveGroup(Text(each.begin(), each.size()), group.orDefault(""));
    bool known = false;
    for (auto present : groups) known = known || present == number;
    if (!known) groups.add(number);
  }
  identity.groups = groups.releaseAsArray();
}

}  // namespace bulkhead::zone
