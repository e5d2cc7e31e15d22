// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#include <iterator>

#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

// In the order of linux/capability.h.
constexpr kj::StringPtr kNames[] = {
    "CHOWN"_kj,
    "DAC_OVERRIDE"_kj,
    "DAC_READ_SEARCH"_kj,
    "FOWNER"_kj,
    "FSETID"_kj,
    "KILL"_kj,
    "SETGID"_kj,
    "SETUID"_kj,
    "SETPCAP"_kj,
    "LINUX_IMMUTABLE"_kj,
    "NET_BIND_SERVICE"_kj,
    "NET_BROADCAST"_kj,
    "NET_ADMIN"_kj,
    "NET_RAW"_kj,
    "IPC_LOCK"_kj,
    "IPC_OWNER"_kj,
    "SYS_MODULE"_kj,
    "SYS_RAWIO"_kj,
    "SYS_CHROOT"_kj,
    "SYS_PTRACE"_kj,
    "SYS_PACCT"_kj,
    "SYS_ADMIN"_kj,
    "SYS_BOOT"_kj,
    "SYS_NICE"_kj,
    "SYS_RESOURCE"_kj,
    "SYS_TIME"_kj,
    "SYS_TTY_CONFIG"_kj,
    "MKNOD"_kj,
    "LEASE"_kj,
    "AUDIT_WRITE"_kj,
    "AUDIT_CONTROL"_kj,
    "SETFCAP"_kj,
    "MAC_OVERRIDE"_kj,
    "MAC_ADMIN"_kj,
    "SYSLOG"_kj,
    "WAKE_ALARM"_kj,
    "BLOCK_SUSPEND"_kj,
    "AUDIT_READ"_kj,
    "PERFMON"_kj,
    "BPF"_kj,
    "CHECKPOINT_RESTORE"_kj,
};
static_assert(std::size(kNames) == kLastCapability + 1);
static_assert(CAP_CHECKPOINT_RESTORE == kLastCapability);

constexpr CapabilityMask bit(int number) { return CapabilityMask{1} << number; }
constexpr CapabilityMask kAll = bit(kLastCapability + 1) - 1;

CapabilityMask named(kj::StringPtr name) { return name == "ALL" ? kAll : capability(name); }

}  // namespace

CapabilityMask defaultCapabilities() {
  return bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_FSETID) | bit(CAP_FOWNER) |
         bit(CAP_MKNOD) | bit(CAP_NET_RAW) | bit(CAP_SETGID) | bit(CAP_SETUID) | bit(CAP_SETFCAP) |
         bit(CAP_SETPCAP) | bit(CAP_NET_BIND_SERVICE) | bit(CAP_SYS_CHROOT) | bit(CAP_KILL) |
         bit(CAP_AUDIT_WRITE);
}

CapabilityMask capability(kj::StringPtr name) {
  int number = 0;
  for (auto each : kNames) {
    if (each == name) return bit(number);
    ++number;
  }
  fail(FailureCode::INVALID, printable(name, 64), "there is no capability of this name",
       "names are as in capabilities(7), without CAP_");
}

CapabilityMask capabilityUnion(kj::ArrayPtr<const kj::String> names) {
  CapabilityMask set = 0;
  for (auto& name : names) set |= named(name);
  return set;
}

CapabilityMask boundingSet() {
  CapabilityMask set = 0;
  for (int number = 0; number <= kLastCapability; ++number) {
    if (prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1) set |= bit(number);
  }
  return set;
}

CapabilityMask capabilitySet(kj::ArrayPtr<const kj::String> add,
                             kj::ArrayPtr<const kj::String> drop) {
  auto set = defaultCapabilities();
  return (set & ~capabilityUnion(drop)) | capabilityUnion(add);
}

}  // namespace bulkhead::zone
