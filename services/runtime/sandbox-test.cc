// SPDX-License-Identifier: Apache-2.0
// What is left of a process once it has entered the sandbox, as the kernel and the process see it.
#include "services/runtime/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include <kj/debug.h>
#include <kj/function.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox-policies/test-files-policy.h"
#include "sandbox-policies/test-server-policy.h"
#include "services/runtime/child-process.h"
#include "services/runtime/landlock.h"

namespace bulkhead {
namespace {

using testing::HasSubstr;

#ifdef BULKHEAD_SANITIZED
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

#define NEEDS_ROOT() \
  if (geteuid() != 0) GTEST_SKIP() << "only root has something to give up"
#define NEEDS_LANDLOCK() \
  if (!landlock::Ruleset(landlock::Tcp::refused).supported()) GTEST_SKIP() << "no Landlock here"
#define NEEDS_SECCOMP() \
  if (sanitized) GTEST_SKIP() << "builds with sanitizers load no filter"

// A child that has entered a sandbox and waits to be looked at.
class Confined {
 public:
  explicit Confined(kj::Function<void(Sandbox&)> prepare) {
    int ready[2];
    KJ_SYSCALL(pipe(ready));
    KJ_SYSCALL(pipe(hold));
    KJ_SYSCALL(child = fork());
    if (child == 0) {
      close(hold[1]);
      Sandbox sandbox("test");
      prepare(sandbox);
      sandbox.enter(test_server_policy);
      KJ_SYSCALL(write(ready[1], "x", 1));
      char byte;
      KJ_SYSCALL(read(hold[0], &byte, 1));
      _exit(0);
    }
    close(hold[0]);
    close(ready[1]);
    char byte;
    ssize_t got;
    KJ_SYSCALL(got = read(ready[0], &byte, 1));
    close(ready[0]);
    KJ_REQUIRE(got == 1, "the child did not come through");
  }

  ~Confined() {
    close(hold[1]);
    waitpid(child, nullptr, 0);
  }

  std::map<std::string, std::string> status() {
    std::ifstream file("/proc/" + std::to_string(child) + "/status");
    std::map<std::string, std::string> result;
    for (std::string line; std::getline(file, line);) {
      auto colon = line.find(":\t");
      if (colon != std::string::npos) result[line.substr(0, colon)] = line.substr(colon + 2);
    }
    return result;
  }

  std::string limits() {
    std::ifstream file("/proc/" + std::to_string(child) + "/limits");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  uid_t ownerOfProcess() {
    struct stat status;
    KJ_SYSCALL(stat(("/proc/" + std::to_string(child) + "/maps").c_str(), &status));
    return status.st_uid;
  }

 private:
  pid_t child;
  int hold[2];
};

std::string mask(uint64_t capabilities) {
  char text[17];
  snprintf(text, sizeof(text), "%016lx", capabilities);
  return text;
}

TEST(Sandbox, LeavesNoCapability) {
  NEEDS_ROOT();
  auto status = Confined([](Sandbox&) {}).status();
  for (auto set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_EQ(status[set], mask(0)) << set;
  }
}

TEST(Sandbox, KeepsOnlyTheNamedCapabilities) {
  NEEDS_ROOT();
  auto status = Confined([](Sandbox& s) { s.keepCapabilities({CAP_NET_ADMIN, CAP_BPF}); }).status();
  auto kept = mask(uint64_t{1} << CAP_NET_ADMIN | uint64_t{1} << CAP_BPF);
  EXPECT_EQ(status["CapPrm"], kept);
  EXPECT_EQ(status["CapEff"], kept);
  EXPECT_EQ(status["CapBnd"], kept);
  EXPECT_EQ(status["CapInh"], mask(0));
  EXPECT_EQ(status["CapAmb"], mask(0));
}

TEST(Sandbox, WorksForAnOrdinaryUser) {
  NEEDS_ROOT();
  auto status = Confined([](Sandbox& s) {
                  KJ_SYSCALL(setresuid(65534, 65534, 65534));
                  s.guardMemory();
                }).status();
  EXPECT_EQ(status["CapPrm"], mask(0));
  EXPECT_EQ(status["NoNewPrivs"], "1");
}

TEST(Sandbox, LoadsTheFilterForEveryThread) {
  NEEDS_SECCOMP();
  auto status = Confined([](Sandbox&) {}).status();
  EXPECT_EQ(status["NoNewPrivs"], "1");
  EXPECT_EQ(status["Seccomp"], "2");
  EXPECT_EQ(status["Seccomp_filters"], "1");
}

TEST(Sandbox, SetsTheLimits) {
  NEEDS_SECCOMP();
  auto limits =
      Confined([](Sandbox& s) { s.limitFiles(77).limitMemory(rlim_t{1} << 30); }).limits();
  EXPECT_THAT(limits, testing::ContainsRegex("Max open files +77 +77 "));
  EXPECT_THAT(limits, testing::ContainsRegex("Max data size +1073741824 +1073741824 "));
  EXPECT_THAT(limits, testing::ContainsRegex("Max core file size +0 +0 "));
}

TEST(Sandbox, GuardsItsMemory) {
  NEEDS_ROOT();
  NEEDS_SECCOMP();
  auto becomeOrdinary = [] { KJ_SYSCALL(setresuid(65534, 65534, 65534)); };
  // setresuid makes a process undumpable by itself; the first one shows that the test tells.
  EXPECT_EQ(Confined([&](Sandbox&) {
              becomeOrdinary();
              KJ_SYSCALL(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
            }).ownerOfProcess(),
            65534u);
  EXPECT_EQ(Confined([&](Sandbox& s) {
              becomeOrdinary();
              KJ_SYSCALL(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
              s.guardMemory();
            }).ownerOfProcess(),
            0u);
}

TEST(Sandbox, KillsWhatThePolicyDoesNotName) {
  NEEDS_SECCOMP();
  auto outcome = runInChild([] {
    Sandbox("test").enter(test_server_policy);
    syscall(SYS_getppid);
  });
  EXPECT_TRUE(outcome.diedBy(SIGSYS)) << outcome.status;
}

TEST(Sandbox, SaysLoudlyThatSanitizedBuildsHaveNoFilter) {
  if (!sanitized) GTEST_SKIP() << "this build has a filter";
  auto outcome = runInChild([] {
    Sandbox("test").enter(test_server_policy);
    syscall(SYS_getppid);
  });
  EXPECT_TRUE(outcome.exitedWith(0));
  EXPECT_THAT(outcome.errors, HasSubstr("NO SECCOMP FILTER"));
}

TEST(Sandbox, RefusesToStartWithThreadsRunning) {
  NEEDS_SECCOMP();
  auto outcome = runInChild([] {
    std::thread([] { pause(); }).detach();
    EXPECT_ANY_THROW(Sandbox("test").enter(test_server_policy));
    _exit(0);
  });
  EXPECT_TRUE(outcome.exitedWith(0)) << outcome.errors;
}

TEST(Sandbox, RefusesAPathThatIsNotThere) {
  EXPECT_ANY_THROW(Sandbox("test").allowPath("/no/such/path", PathAccess::read));
  EXPECT_NO_THROW(Sandbox("test").allowPathIfPresent("/no/such/path", PathAccess::read));
}

TEST(Sandbox, RefusesACapabilityThatDoesNotExist) {
  EXPECT_ANY_THROW(Sandbox("test").keepCapabilities({999}));
}

// --- Landlock ------------------------------------------------------------------------------------

// A directory with a file "present" in it.
class SandboxPaths : public testing::Test {
 public:
  ~SandboxPaths() noexcept override {}

 protected:
  std::string directory;

  void SetUp() override {
    NEEDS_LANDLOCK();
    char name[] = "/tmp/sandbox-test-XXXXXX";
    directory = mkdtemp(name);
    std::ofstream(directory + "/present") << "text";
  }
  void TearDown() override {
    if (directory.empty()) return;
    unlink((directory + "/present").c_str());
    unlink((directory + "/made").c_str());
    rmdir((directory + "/folder").c_str());
    rmdir(directory.c_str());
  }

  // Runs `body` in a sandbox; it reports by what it expects, seen through the exit code.
  void expectInside(kj::Function<void(Sandbox&)> prepare, kj::Function<bool()> body) {
    auto outcome = runInChild([&] {
      Sandbox sandbox("test");
      prepare(sandbox);
      sandbox.enter(test_files_policy);
      _exit(body() ? 0 : 1);
    });
    EXPECT_TRUE(outcome.exitedWith(0)) << outcome.status << ' ' << outcome.errors;
  }

  bool opens(const std::string& path, int flags) {
    return openat(AT_FDCWD, path.c_str(), flags | O_CLOEXEC, 0600) >= 0;
  }
  bool refused(const std::string& path, int flags) {
    return !opens(path, flags) && errno == EACCES;
  }
};

TEST_F(SandboxPaths, AreAllClosedByDefault) {
  expectInside([](Sandbox&) {},
               [&] {
                 return refused(directory + "/present", O_RDONLY) &&
                        refused("/", O_RDONLY | O_DIRECTORY) && refused("/dev/null", O_RDWR) &&
                        refused("/proc/self/status", O_RDONLY);
               });
}

TEST_F(SandboxPaths, StayOpenInDescriptorsHeld) {
  int held;
  KJ_SYSCALL(held = open((directory + "/present").c_str(), O_RDONLY | O_CLOEXEC));
  expectInside([](Sandbox&) {},
               [&] {
                 char text[4];
                 return read(held, text, 4) == 4;
               });
  close(held);
}

TEST_F(SandboxPaths, ForReadingAreNotWritten) {
  expectInside([&](Sandbox& s) { s.allowPath(directory.c_str(), PathAccess::read); },
               [&] {
                 return opens(directory + "/present", O_RDONLY) &&
                        opens(directory, O_RDONLY | O_DIRECTORY) &&
                        refused(directory + "/present", O_RDWR) &&
                        refused(directory + "/made", O_RDWR | O_CREAT);
               });
}

TEST_F(SandboxPaths, ForWritingAreWritten) {
  expectInside([&](Sandbox& s) { s.allowPath(directory.c_str(), PathAccess::readWrite); },
               [&] {
                 auto made = directory + "/made";
                 return opens(made, O_RDWR | O_CREAT) &&
                        opens(directory + "/present", O_RDWR | O_TRUNC) &&
                        mkdirat(AT_FDCWD, (directory + "/folder").c_str(), 0700) == 0 &&
                        renameat2(AT_FDCWD, made.c_str(), AT_FDCWD,
                                  (directory + "/folder/made").c_str(), 0) == 0 &&
                        unlinkat(AT_FDCWD, (directory + "/folder/made").c_str(), 0) == 0 &&
                        refused("/tmp/not-below", O_RDWR | O_CREAT);
               });
}

TEST_F(SandboxPaths, MayBeSingleFiles) {
  auto present = directory + "/present";
  expectInside([&](Sandbox& s) { s.allowPath(present.c_str(), PathAccess::readWrite); },
               [&] {
                 return opens(present, O_RDWR) && refused(directory + "/made", O_RDWR | O_CREAT) &&
                        refused(directory, O_RDONLY | O_DIRECTORY);
               });
}

TEST_F(SandboxPaths, MayBeDevices) {
  expectInside([&](Sandbox& s) { s.allowPath("/dev/null", PathAccess::device); },
               [&] { return opens("/dev/null", O_RDWR) && refused("/dev/zero", O_RDWR); });
}

// --- the network, and other processes
// --------------------------------------------------------------

class SandboxScope : public SandboxPaths {
 protected:
  static int connectTcp() {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(1);  // nobody listens
    return connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 ? 0 : errno;
  }
  static int bindTcp() {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 ? 0 : errno;
  }
};

TEST_F(SandboxScope, RefusesTcp) {
  expectInside([](Sandbox&) {}, [] { return connectTcp() == EACCES && bindTcp() == EACCES; });
}

TEST_F(SandboxScope, LetsConnectOnRequestButNotListen) {
  expectInside([](Sandbox& s) { s.allowTcpConnect(); },
               [] { return connectTcp() != EACCES && bindTcp() == EACCES; });
}

TEST_F(SandboxScope, SignalsNobodyElse) {
  auto parent = getpid();
  expectInside([](Sandbox&) {},
               [&] {
                 return syscall(SYS_kill, parent, 0) == -1 && errno == EPERM &&
                        syscall(SYS_kill, syscall(SYS_getpid), 0) == 0;
               });
}

TEST_F(SandboxScope, ReachesNoAbstractSocket) {
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto name = "sandbox-test-" + std::to_string(getpid());
  memcpy(address.sun_path + 1, name.data(), name.size());
  KJ_SYSCALL(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
  KJ_SYSCALL(listen(listener, 1));
  expectInside([](Sandbox&) {},
               [&] {
                 int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                 return connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == -1 &&
                        errno == EPERM;
               });
  close(listener);
}

}  // namespace
}  // namespace bulkhead
