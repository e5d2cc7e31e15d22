// SPDX-License-Identifier: Apache-2.0
// A process's own confinement: it holds whoever started the process, systemd or a test.
#pragma once

#include <sys/resource.h>

#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>

#include <initializer_list>

#include "sandbox-policies/seccomp-policy.h"

namespace bulkhead {

// What may be done below a path that is still reachable after Sandbox::enter().
enum class PathAccess {
  // Files are read, directories are listed.
  read,
  // Also: files and directories are made, written, cut, renamed and removed. Never device nodes,
  // sockets or symbolic links.
  readWrite,
  // Nodes are opened for reading and writing, and their ioctls are made.
  device,
};

// Collects what a process keeps, then gives up everything else:
//
//   Sandbox("imaged")
//       .limitFiles(1024)
//       .allowPath("/var/lib/bulkhead/imaged", PathAccess::readWrite)
//       .enter(imaged_policy);
//
// Descriptors already open stay what they are: open what is needed first. Connecting to a
// filesystem socket is a matter of the socket's owner and mode, not of Landlock, and of the
// policy's `socket` and `connect` rules.
//
// Every method throws kj::Exception where a step fails; a daemon must end then, since it would run
// half locked. The one exception is a kernel without Landlock, which is logged: the other layers
// then carry the weight (a policy without `openat` opens nothing anyway).
//
// In builds with sanitizers (BULKHEAD_SANITIZED) there is no seccomp, no memory limit and the
// process stays dumpable, because the sanitizers' own runtime needs more than any policy grants.
// A warning says so at each start.
class Sandbox {
 public:
  // `service` names the process in log lines and errors.
  explicit Sandbox(kj::StringPtr service);
  KJ_DISALLOW_COPY_AND_MOVE(Sandbox);

  // Capabilities (CAP_NET_ADMIN ...) that stay permitted and effective; none unless named. The
  // inheritable and ambient sets are emptied in any case, and the bounding set is cut down to these
  // where the process may still do so.
  Sandbox& keepCapabilities(std::initializer_list<int> capabilities);

  // RLIMIT_NOFILE, soft and hard. A hard limit that is lower already stays.
  Sandbox& limitFiles(rlim_t count);

  // RLIMIT_DATA in bytes, soft and hard: private memory that can be written, used or not; not the
  // address space that the allocator reserves. A lower one stays.
  Sandbox& limitMemory(rlim_t bytes);

  // Keeps a path reachable. The path is resolved now and the object behind it is meant from then
  // on, whatever the path names later. Throws where there is nothing.
  Sandbox& allowPath(kj::StringPtr path, PathAccess access);

  // The same, but passes over a path that does not exist (a file that some distributions ship).
  Sandbox& allowPathIfPresent(kj::StringPtr path, PathAccess access);

  // Lets the process connect over TCP. Without it Landlock refuses; listening is refused always.
  Sandbox& allowTcpConnect();

  // Keeps memory out of reach of other processes of the same user: no core file, no ptrace, and
  // /proc/self belongs to root, so that it can no longer be opened.
  Sandbox& guardMemory();

  // Gives everything up, in this order: no_new_privs, limits (core files are always off),
  // capabilities, Landlock, dumpable flag, seccomp. Must be called while the process has one
  // thread; the threads it starts later inherit everything. Can be called once.
  void enter(const SeccompPolicy& policy);

 private:
  struct AllowedPath {
    kj::AutoCloseFd object;
    PathAccess access;
  };

  kj::String service;
  uint64_t keptCapabilities = 0;
  kj::Maybe<rlim_t> files;
  kj::Maybe<rlim_t> data;
  kj::Vector<AllowedPath> paths;
  enum class Tcp { refused, connect } tcp = Tcp::refused;
  enum class Memory { ordinary, guarded } memory = Memory::ordinary;

  void requireOneThread();
  void applyLimits();
  void applyCapabilities();
  void applyLandlock();
  void applyMemoryGuard();
  void applySeccomp(const SeccompPolicy& policy);
};

}  // namespace bulkhead
