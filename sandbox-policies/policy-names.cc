// SPDX-License-Identifier: Apache-2.0
#include "sandbox-policies/policy-names.h"

#include <seccomp.h>

namespace bulkhead::policy {
namespace {

// How the kernel declares the arguments: i = 32 bits, l = 64 bits, p = a pointer, h = 16 bits.
struct Signature {
  kj::StringPtr syscall;
  kj::StringPtr arguments;
};

const Signature signatures[] = {
    {"accept4"_kj, "ippi"_kj},
    {"arch_prctl"_kj, "il"_kj},
    {"bind"_kj, "ipi"_kj},
    {"clock_getres"_kj, "ip"_kj},
    {"clock_gettime"_kj, "ip"_kj},
    {"clock_nanosleep"_kj, "iipp"_kj},
    {"clone"_kj, "lpppl"_kj},
    {"close_range"_kj, "iii"_kj},
    {"connect"_kj, "ipi"_kj},
    {"copy_file_range"_kj, "ipipli"_kj},
    {"dup3"_kj, "iii"_kj},
    {"epoll_create1"_kj, "i"_kj},
    {"epoll_ctl"_kj, "iiip"_kj},
    {"epoll_pwait"_kj, "ipiipl"_kj},
    {"epoll_wait"_kj, "ipii"_kj},
    {"eventfd2"_kj, "ii"_kj},
    {"faccessat2"_kj, "ipii"_kj},
    {"fallocate"_kj, "iill"_kj},
    {"fchmod"_kj, "ih"_kj},
    {"fchmodat"_kj, "iph"_kj},
    {"fcntl"_kj, "iil"_kj},
    {"flock"_kj, "ii"_kj},
    {"futex"_kj, "piippi"_kj},
    {"getrandom"_kj, "pli"_kj},
    {"getsockopt"_kj, "iiipp"_kj},
    {"ioctl"_kj, "iil"_kj},
    {"kill"_kj, "ii"_kj},
    {"linkat"_kj, "ipipi"_kj},
    {"listen"_kj, "ii"_kj},
    {"lseek"_kj, "ili"_kj},
    {"madvise"_kj, "lli"_kj},
    {"membarrier"_kj, "iii"_kj},
    {"memfd_create"_kj, "pi"_kj},
    {"mkdirat"_kj, "iph"_kj},
    {"mmap"_kj, "llllll"_kj},
    {"mprotect"_kj, "lll"_kj},
    {"mremap"_kj, "lllll"_kj},
    {"msync"_kj, "lli"_kj},
    {"munmap"_kj, "ll"_kj},
    {"newfstatat"_kj, "ippi"_kj},
    {"openat"_kj, "ipih"_kj},
    {"pipe2"_kj, "pi"_kj},
    {"poll"_kj, "pii"_kj},
    {"prctl"_kj, "illll"_kj},
    {"preadv2"_kj, "lpllli"_kj},
    {"prlimit64"_kj, "iipp"_kj},
    {"pwritev2"_kj, "lpllli"_kj},
    {"read"_kj, "ipl"_kj},
    {"recvfrom"_kj, "iplipp"_kj},
    {"recvmmsg"_kj, "ipiip"_kj},
    {"recvmsg"_kj, "ipi"_kj},
    {"renameat2"_kj, "ipipi"_kj},
    {"rseq"_kj, "piii"_kj},
    {"rt_sigaction"_kj, "ippl"_kj},
    {"rt_sigprocmask"_kj, "ippl"_kj},
    {"sched_getaffinity"_kj, "iip"_kj},
    {"sendmmsg"_kj, "ipii"_kj},
    {"sendmsg"_kj, "ipi"_kj},
    {"sendto"_kj, "iplipi"_kj},
    {"setns"_kj, "ii"_kj},
    {"setsockopt"_kj, "iiipi"_kj},
    {"shutdown"_kj, "ii"_kj},
    {"signalfd4"_kj, "ipli"_kj},
    {"socket"_kj, "iii"_kj},
    {"socketpair"_kj, "iiip"_kj},
    {"splice"_kj, "ipipli"_kj},
    {"statx"_kj, "ipiip"_kj},
    {"sync_file_range"_kj, "illi"_kj},
    {"tgkill"_kj, "iii"_kj},
    {"timerfd_create"_kj, "ii"_kj},
    {"timerfd_settime"_kj, "iipp"_kj},
    {"unlinkat"_kj, "ipi"_kj},
    {"utimensat"_kj, "ippi"_kj},
    {"waitid"_kj, "iipip"_kj},
    {"write"_kj, "ipl"_kj},
    {"writev"_kj, "ipl"_kj},
};

kj::Maybe<const Signature&> findSignature(kj::StringPtr syscall) {
  for (const auto& entry : signatures) {
    if (entry.syscall == syscall) return entry;
  }
  return nullptr;
}

}  // namespace

kj::Maybe<int> syscallNumber(kj::StringPtr name) {
  // A negative answer is libseccomp's marker for "not here", or for another architecture's call.
  int number = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name.cStr());
  if (number < 0) return nullptr;
  return number;
}

kj::Maybe<ArgumentWidth> argumentWidth(kj::StringPtr syscall, unsigned argument) {
  KJ_IF_MAYBE (signature, findSignature(syscall)) {
    if (argument >= signature->arguments.size()) return nullptr;
    switch (signature->arguments[argument]) {
      case 'h':
        return ArgumentWidth{0xffffu, ArgumentWidth::Kind::number};
      case 'i':
        return ArgumentWidth{0xffffffffu, ArgumentWidth::Kind::number};
      case 'l':
        return ArgumentWidth{~uint64_t{0}, ArgumentWidth::Kind::number};
      default:
        return ArgumentWidth{~uint64_t{0}, ArgumentWidth::Kind::pointer};
    }
  }
  return nullptr;
}

bool hasArgumentTable(kj::StringPtr syscall) { return findSignature(syscall) != nullptr; }

}  // namespace bulkhead::policy
