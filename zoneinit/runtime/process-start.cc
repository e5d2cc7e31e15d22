// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/process-start.h"

#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>

#include "zoneinit/runtime/root-walk.h"
#include "zoneinit/runtime/user-namespace.h"

namespace bulkhead::zone {
namespace {

constexpr kj::StringPtr kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"_kj;

kj::Vector<const char*> pointersTo(kj::ArrayPtr<const kj::String> texts) {
  kj::Vector<const char*> pointers;
  for (auto& text : texts) pointers.add(text.cStr());
  pointers.add(nullptr);
  return pointers;
}

kj::Maybe<kj::StringPtr> asPointer(const kj::Maybe<kj::String>& text) {
  return text.map([](const kj::String& value) -> kj::StringPtr { return value; });
}

UserIdentity findUser(int root, const ProcessSpec& process) {
  auto passwd = readFileInRoot(root, "etc/passwd", kUserFileLimit);
  auto group = readFileInRoot(root, "etc/group", kUserFileLimit);
  auto identity = resolveUser(process.user, asPointer(passwd), asPointer(group));
  addGroups(identity, process.authority.additionalGroups, asPointer(group));
  return identity;
}

StandardStreams makeStreams(const ProcessSpec& process, InputMode input, int pseudoTerminals) {
  KJ_IF_MAYBE (size, process.terminal) {
    return StandardStreams::terminal(pseudoTerminals, *size);
  }
  return StandardStreams::pipes(input);
}

}  // namespace

ProcessEnvironment::ProcessEnvironment(const ProcessSpec& spec, const UserIdentity& user,
                                       kj::StringPtr hostname) {
  for (auto& entry : spec.environment) entries.add(kj::str(entry));
  addIfMissing("PATH", kDefaultPath);
  addIfMissing("HOME", user.home);
  addIfMissing("HOSTNAME", hostname);
  if (spec.terminal != nullptr) addIfMissing("TERM", "xterm");
  pointers = pointersTo(entries);
}

const char* ProcessEnvironment::path() const { return KJ_ASSERT_NONNULL(find("PATH")).cStr(); }

// The last one counts, as in most programs' own environ.
kj::Maybe<kj::StringPtr> ProcessEnvironment::find(kj::StringPtr key) const {
  kj::Maybe<kj::StringPtr> found;
  for (auto& entry : entries) {
    if (entry.startsWith(key) && entry.size() > key.size() && entry[key.size()] == '=') {
      found = entry.slice(key.size() + 1);
    }
  }
  return found;
}

void ProcessEnvironment::addIfMissing(kj::StringPtr key, kj::StringPtr value) {
  if (find(key) == nullptr) entries.add(kj::str(key, "=", value));
}

ProcessStart::ProcessStart(const StartSurroundings& container, const ProcessSpec& process,
                           InputMode input)
    : user(findUser(container.root, process)),
      environment(process, user, container.hostname),
      arguments(pointersTo(process.arguments)),
      streams(makeStreams(process, input, container.pseudoTerminals)),
      oomScore(kj::str(process.authority.oomScoreAdjust)) {
  auto& settings = container.settings;
  auto& authority = process.authority;
  plan.arguments = arguments;
  plan.environment = environment.asPointers();
  plan.searchPath = environment.path();
  plan.workingDirectory = process.workingDirectory.cStr();
  plan.user = &user;
  plan.capabilities =
      settings.confinement == Confinement::privileged ? boundingSet() : authority.capabilities;
  plan.ambient = authority.ambient;
  plan.privileges = authority.privileges;
  plan.limits = authority.limits;
  plan.umask = authority.umask;
  plan.oomScoreAdjust = oomScore.cStr();
  plan.appArmorProfile = authority.appArmorProfile.cStr();
  for (size_t i = 0; i < 3; ++i) plan.streams[i] = streams.child[i].get();
  plan.terminal = process.terminal != nullptr;
  plan.birth = -1;
  giveStreams(outsideId(settings.userMappings, user.user));
  // The kernel would only say that something is wrong.
  outsideId(settings.groupMappings, user.group);
  for (auto group : user.groups) outsideId(settings.groupMappings, group);
}

// Programs reopen /dev/stdout as the user they run as. Pipes and terminals are the container's own;
// anything else, like /dev/null, is shared.
void ProcessStart::giveStreams(uid_t owner) {
  for (auto& stream : streams.child) {
    struct stat info{};
    KJ_SYSCALL(fstat(stream, &info));
    if (!plan.terminal && !S_ISFIFO(info.st_mode)) continue;
    KJ_SYSCALL(fchown(stream, owner, static_cast<gid_t>(-1)));
  }
}

}  // namespace bulkhead::zone
