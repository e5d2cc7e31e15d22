// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <kj/debug.h>

#include <cerrno>
#include <span>

#include "services/runtime/landlock.h"

namespace bulkhead {
namespace {

constexpr int capabilitySets = 2;  // _LINUX_CAPABILITY_U32S_3: 64 capabilities in two words

struct Capabilities {
  __user_cap_data_struct words[capabilitySets];

  // The capabilities of this thread.
  static Capabilities read() {
    Capabilities result{};
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    KJ_SYSCALL(syscall(SYS_capget, &header, result.words));
    return result;
  }

  // `kept` becomes the permitted and the effective set; the inheritable set becomes empty.
  static void write(uint64_t kept) {
    Capabilities wanted{};
    for (auto& half : wanted.words) {
      half.effective = half.permitted = static_cast<uint32_t>(kept);
      kept >>= 32;
    }
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    KJ_SYSCALL(syscall(SYS_capset, &header, wanted.words));
  }

  bool hasEffective(int capability) const {
    return (std::span(words)[static_cast<size_t>(capability) / 32].effective >> (capability % 32)) &
           1;
  }
};

// A limit that is lower already stays.
void limit(__rlimit_resource resource, rlim_t value) {
  rlimit present{};
  KJ_SYSCALL(getrlimit(resource, &present), resource);
  rlim_t most = kj::min(value, present.rlim_max);
  rlimit wanted{most, most};
  KJ_SYSCALL(setrlimit(resource, &wanted), resource, value);
}

uint64_t landlockRights(PathAccess access) {
  switch (access) {
    case PathAccess::read:
      return landlock::readRights;
    case PathAccess::readWrite:
      return landlock::readRights | landlock::writeRights;
    case PathAccess::device:
      return landlock::deviceRights;
  }
  KJ_UNREACHABLE;
}

}  // namespace

Sandbox::Sandbox(kj::StringPtr serviceParam) : service(kj::str(serviceParam)) {}

Sandbox& Sandbox::keepCapabilities(std::initializer_list<int> capabilities) {
  for (int capability : capabilities) {
    KJ_REQUIRE(cap_valid(capability), "no such capability", service, capability);
    keptCapabilities |= uint64_t{1} << capability;
  }
  return *this;
}

Sandbox& Sandbox::limitFiles(rlim_t count) {
  files = count;
  return *this;
}

Sandbox& Sandbox::limitMemory(rlim_t bytes) {
  data = bytes;
  return *this;
}

Sandbox& Sandbox::allowPath(kj::StringPtr path, PathAccess access) {
  int raw;
  KJ_SYSCALL(raw = open(path.cStr(), O_PATH | O_CLOEXEC), service, path);
  paths.add(AllowedPath{kj::AutoCloseFd(raw), access});
  return *this;
}

Sandbox& Sandbox::allowPathIfPresent(kj::StringPtr path, PathAccess access) {
  if (::access(path.cStr(), F_OK) != 0 && errno == ENOENT) return *this;
  return allowPath(path, access);
}

Sandbox& Sandbox::allowTcpConnect() {
  tcp = Tcp::connect;
  return *this;
}

Sandbox& Sandbox::guardMemory() {
  memory = Memory::guarded;
  return *this;
}

void Sandbox::enter(const SeccompPolicy& policy) {
  requireOneThread();
  KJ_SYSCALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), service);
  applyLimits();
  applyCapabilities();
  applyLandlock();
  applyMemoryGuard();
  applySeccomp(policy);
}

void Sandbox::requireOneThread() {
#ifndef BULKHEAD_SANITIZED
  // Capabilities and Landlock are properties of a thread, not of the process.
  auto* tasks = opendir("/proc/self/task");
  KJ_REQUIRE(tasks != nullptr, "/proc is needed to count the threads", service);
  KJ_DEFER(closedir(tasks));
  unsigned threads = 0;
  while (auto* entry = readdir(tasks)) {
    if (entry->d_name[0] != '.') ++threads;
  }
  KJ_REQUIRE(threads == 1, "the sandbox must be entered before any thread starts", service,
             threads);
#endif
}

void Sandbox::applyLimits() {
  limit(RLIMIT_CORE, 0);
  KJ_IF_MAYBE (count, files) limit(RLIMIT_NOFILE, *count);
#ifndef BULKHEAD_SANITIZED
  KJ_IF_MAYBE (bytes, data) limit(RLIMIT_DATA, *bytes);
#endif
}

void Sandbox::applyCapabilities() {
  // Without CAP_SETPCAP the bounding set cannot be changed; it is then without effect too, since
  // only an execve could draw on it, which no_new_privs and the policy both prevent.
  if (Capabilities::read().hasEffective(CAP_SETPCAP)) {
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
      if ((keptCapabilities >> capability) & 1) continue;
      KJ_SYSCALL(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), service, capability);
    }
    // User 0 is a user like any other from here on.
    KJ_SYSCALL(
        prctl(PR_SET_SECUREBITS,
              SECURE_ALL_BITS & ~issecure_mask(SECURE_KEEP_CAPS) | SECURE_ALL_LOCKS, 0, 0, 0),
        service);
  }
  KJ_SYSCALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), service);
  Capabilities::write(keptCapabilities);
}

void Sandbox::applyLandlock() {
  landlock::Ruleset ruleset(tcp == Tcp::connect ? landlock::Tcp::connect : landlock::Tcp::refused);
  if (!ruleset.supported()) {
    KJ_LOG(WARNING, "this kernel has no Landlock: paths are guarded by the other layers only",
           service);
    return;
  }
  for (const auto& path : paths) ruleset.allow(path.object, landlockRights(path.access));
  ruleset.enforce();
  paths.clear();
}

void Sandbox::applyMemoryGuard() {
#ifndef BULKHEAD_SANITIZED
  if (memory == Memory::ordinary) return;
  KJ_SYSCALL(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), service);
#endif
}

#ifdef BULKHEAD_SANITIZED
namespace {
bool entered = false;
}

// The leak checker looks at a process from outside, which a sandboxed one does not allow.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return entered ? 1 : 0; }
#endif

void Sandbox::applySeccomp([[maybe_unused]] const SeccompPolicy& policy) {
#ifdef BULKHEAD_SANITIZED
  entered = true;
  KJ_LOG(WARNING, "NO SECCOMP FILTER: built with sanitizers, for tests only, never for production",
         service);
#else
  sock_fprog program{static_cast<uint16_t>(policy.program.size()),
                     const_cast<sock_filter*>(policy.program.begin())};
  KJ_SYSCALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), service, policy.name);
#endif
}

}  // namespace bulkhead
