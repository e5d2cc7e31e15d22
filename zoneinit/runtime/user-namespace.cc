// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/user-namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "zoneinit/runtime/kernel-files.h"
#include "zoneinit/runtime/syscalls.h"

namespace bulkhead::zone {
namespace {

void writeMap(pid_t process, kj::StringPtr file, kj::ArrayPtr<const IdMapping> mappings) {
  auto lines = KJ_MAP(each, mappings) {
    return kj::str(each.inside, ' ', each.outside, ' ', each.count, '\n');
  };
  auto path = kj::str("/proc/", process, "/", file);
  if (writeKernelFile(AT_FDCWD, path, kj::strArray(lines, ""))) return;
  int error = errno;
  fail(FailureCode::INVALID, file, kj::str("the kernel refuses the mappings: ", strerror(error)),
       "they may not overlap");
}

}  // namespace

uint32_t outsideId(kj::ArrayPtr<const IdMapping> mappings, uint32_t inside) {
  if (mappings.size() == 0) return inside;
  for (auto& each : mappings) {
    if (inside >= each.inside && inside - each.inside < each.count) {
      return each.outside + (inside - each.inside);
    }
  }
  fail(FailureCode::INVALID, kj::str(inside),
       "this user or group is not in the container's user namespace", "map it, or name another");
}

void writeMappings(pid_t process, const ContainerSettings& settings) {
  writeMap(process, "uid_map", settings.userMappings);
  writeMap(process, "gid_map", settings.groupMappings);
}

kj::AutoCloseFd makeUserNamespace(const ContainerSettings& settings) {
  int process = -1;
  clone_args arguments{};
  arguments.flags = CLONE_NEWUSER | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uintptr_t>(&process);
  pid_t number = clone3(arguments);
  if (number == 0) {
    // Only there so that the namespace is; killed as soon as it is held.
    for (;;) pause();
  }
  if (number < 0) {
    int error = errno;
    fail(error == ENOSPC ? FailureCode::EXHAUSTED : FailureCode::INTERNAL, "userMappings",
         kj::str("cannot make a user namespace: ", strerror(error)));
  }
  kj::AutoCloseFd holder(process);
  KJ_DEFER({
    pidfdSendSignal(holder, SIGKILL);
    // Born without a signal to tell of its end, it is a child that only __WALL sees.
    waitpid(number, nullptr, __WALL);
  });
  writeMappings(number, settings);
  int raw = open(kj::str("/proc/", number, "/ns/user").cStr(), O_RDONLY | O_CLOEXEC);
  KJ_REQUIRE(raw >= 0, "cannot open a user namespace", strerror(errno));
  return kj::AutoCloseFd(raw);
}

}  // namespace bulkhead::zone
