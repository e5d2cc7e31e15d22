// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/testing/test-zone.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/filesystem.h>

#include "services/runtime/testing/listening-socket.h"
#include "zoneinit/runtime/syscalls.h"

namespace bulkhead::zone {
namespace {

int shell(kj::StringPtr command) {
  int status = system(command.cStr());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void mustShell(kj::StringPtr command) {
  KJ_REQUIRE(shell(command) == 0, "a command of the test's set-up failed", command);
}

kj::String outputOf(kj::StringPtr command) {
  FILE* pipe = popen(command.cStr(), "r");
  KJ_REQUIRE(pipe != nullptr);
  char line[256] = {};
  bool any = fgets(line, sizeof line, pipe) != nullptr;
  KJ_REQUIRE(pclose(pipe) == 0 && any, "a command of the test's set-up failed", command);
  line[strcspn(line, "\n")] = '\0';
  return kj::str(line);
}

// Busybox with all its names, some users, and traps: /etc/resolv.conf leads out of the root, /dev
// and /proc are symlinks, one of the working directories is a magic link.
constexpr kj::StringPtr kMakeImage = R"(
set -e
mkdir -p bin etc tmp var srv
cp /bin/busybox bin/busybox
for name in $(/bin/busybox --list); do [ "$name" = busybox ] || ln -s busybox "bin/$name"; done
cat > etc/passwd <<X
root:x:0:0:root:/root:/bin/sh
this line is no entry
app:x:1000:1000:App:/srv:/bin/sh
huge:x:99999999999:1:H:/:/bin/sh
X
cat > etc/group <<X
root:x:0:
app:x:1000:
extra:x:2000:root,app
X
ln -s ../../../../../../../run/escaped etc/resolv.conf
ln -s /etc dev
ln -s /etc proc
echo file > sys
ln -s /proc/self/fd/3 srv/magic
echo data > notexec; chmod 644 notexec
printf 'echo no shebang\n' > bin/noshebang; chmod 755 bin/noshebang
printf '#!/no/such/interpreter\n' > bin/nointerpreter; chmod 755 bin/nointerpreter
chmod 1777 tmp
)"_kj;

}  // namespace

TestImage::TestImage(kj::StringPtr folder) {
  mustShell(kj::str("mkdir -p ", folder, "/image && cd ", folder, "/image && ", kMakeImage));
  mustShell(kj::str("mksquashfs ", folder, "/image ", folder,
                    "/image.squashfs -quiet -no-progress -comp lzo >/dev/null"));
  auto path = outputOf(kj::str("losetup --find --show --read-only ", folder, "/image.squashfs"));
  KJ_REQUIRE(path.startsWith("/dev/"), path);
  device = kj::str(path.slice(5));
}

TestImage::~TestImage() noexcept(false) { shell(kj::str("losetup --detach /dev/", device)); }

ZoneUnderTest::ZoneUnderTest(kj::StringPtr folderParam)
    : folder(kj::str(folderParam)), root(kj::str(folder, "/root")) {
  makeTree();
  makeCgroup();
  start();
}

void ZoneUnderTest::makeTree() {
  mustShell(kj::str("mkdir -p ", root, "/bin ", root, "/run && cd ", root,
                    " && mkdir -p addons dev lib mnt modules proc sys tmp && cp ",
                    BULKHEAD_ZONE_INIT, " init && cp ", BULKHEAD_ZONE_AGENT, " bin/zone"));
#ifdef BULKHEAD_SANITIZED
  // Programs that are not static find their libraries where they were built.
  mustShell(kj::str("mkdir -p ", root, "/usr && mount --bind /usr ", root, "/usr && cd ", root,
                    " && rmdir lib && for d in lib lib64; do ln -s usr/$d $d; done"));
#endif
}

void ZoneUnderTest::makeCgroup() {
  auto mounted = kj::str(folder, "/cgroup");
  mustShell(kj::str("mkdir -p ", mounted, " && mount -t cgroup2 none ", mounted));
  cgroupPath = kj::str(mounted, "/bulkhead-test-", getpid());
  KJ_SYSCALL(mkdir(cgroupPath.cStr(), 0755), cgroupPath);
}

void ZoneUnderTest::start() {
  listener = listenAt(kj::str(folder, "/agent.sock"));

  auto consolePath = kj::str(folder, "/console");
  int raw;
  KJ_SYSCALL(raw = open(consolePath.cStr(), O_CREAT | O_APPEND | O_RDWR | O_CLOEXEC, 0644));
  kj::AutoCloseFd console(raw);
  KJ_SYSCALL(raw = open(cgroupPath.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  kj::AutoCloseFd cgroup(raw);

  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC |
                    CLONE_PIDFD | CLONE_INTO_CGROUP;
  arguments.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  arguments.cgroup = static_cast<uint64_t>(cgroup.get());
  arguments.exit_signal = SIGCHLD;
  pid = clone3(arguments);
  if (pid == 0) becomeZone(console);
  KJ_REQUIRE(pid > 0, "cannot make the zone's namespaces", strerror(errno));
  process = kj::AutoCloseFd(pidfd);
}

void ZoneUnderTest::becomeZone(int console) {
  auto check = [](int result, const char* what) {
    if (result < 0) {
      perror(what);
      _exit(99);
    }
  };
  for (int i = 0; i < 3; ++i) check(dup2(console, i), "dup2");
  check(unshare(CLONE_NEWCGROUP), "unshare");
  // Where this process's root is no mount, a mount namespace of a caller above has done it.
  mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  check(mount(root.cStr(), root.cStr(), nullptr, MS_BIND | MS_REC, nullptr), "bind");
  int tree = open(root.cStr(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  check(tree, "open");
  // Out of whatever changed root this runs in: the zone's tree shall be the root of its namespace.
  int mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  check(mounts, "open");
  check(setns(mounts, CLONE_NEWNS), "setns");
  check(fchdir(tree), "fchdir");
  check(pivotRoot(".", "."), "pivot_root");
  check(umount2(".", MNT_DETACH), "umount2");
  check(chdir("/"), "chdir");
  check(dup2(listener, 3), "dup2");
  check(fcntl(3, F_SETFD, 0), "fcntl");
  const char* environment[] = {"LISTEN_FDS=1", "LISTEN_FDNAMES=agent", nullptr};
  const char* arguments[] = {"/init", nullptr};
  execve("/init", const_cast<char**>(arguments), const_cast<char**>(environment));
  check(-1, "execve");
  _exit(99);
}

ZoneUnderTest::~ZoneUnderTest() noexcept(false) {
  if (pid > 0) {
    pidfdSendSignal(process, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  shell(kj::str("find ", cgroupPath, " -depth -type d -exec rmdir {} \\; 2>/dev/null; umount ",
                folder, "/cgroup; umount ", root, "/usr 2>/dev/null"));
}

kj::Own<Connection> ZoneUnderTest::connect(kj::LowLevelAsyncIoProvider& provider) {
  return connectTo(provider, kj::str(folder, "/agent.sock"));
}

kj::String ZoneUnderTest::console() const {
  auto disk = kj::newDiskFilesystem();
  auto path = disk->getCurrentPath().eval(kj::str(folder, "/console"));
  return disk->getRoot().openFile(path)->readAllText();
}

int ZoneUnderTest::runInside(kj::StringPtr command) const {
  return shell(kj::str("nsenter --target ", pid, " --net --uts --ipc ", command));
}

}  // namespace bulkhead::zone
