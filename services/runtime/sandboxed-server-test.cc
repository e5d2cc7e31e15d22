// SPDX-License-Identifier: Apache-2.0
// A process made like every daemon of ours, under exactly the base policies: it serves, throws,
// passes descriptors, starts a thread, ends on SIGTERM, and crashes audibly.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/thread.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox-policies/all-policies.h"
#include "sandbox-policies/test-server-policy.h"
#include "schemas/platform.capnp.h"
#include "services/runtime/child-process.h"
#include "services/runtime/crash-guard.h"
#include "services/runtime/daemon.h"
#include "services/runtime/files.h"
#include "services/runtime/sandbox.h"
#include "services/runtime/server.h"

namespace bulkhead {
namespace {

using testing::HasSubstr;

class PlatformServer final : public schema::Platform::Server {
 public:
  explicit PlatformServer(kj::AutoCloseFd file) : file(kj::mv(file)) {}

  kj::Promise<void> version(VersionContext context) override {
    {
      kj::Thread thread([this] { answer = kj::str("from a thread"); });
    }
    context.getResults().setVersion(answer);
    return kj::READY_NOW;
  }
  kj::Promise<void> session(SessionContext) override { KJ_FAIL_REQUIRE("no session", 42); }
  kj::Maybe<int> getFd() override { return file.get(); }

 private:
  kj::AutoCloseFd file;
  kj::String answer;
};

// A daemon in a child process; the test is its client.
class SandboxedServer : public testing::Test {
 public:
  ~SandboxedServer() noexcept override {}

 protected:
  pid_t child = 0;
  int clientEnd = -1;
  kj::Maybe<kj::AsyncIoContext> loop;

  void SetUp() override {
    int ends[2];
    KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    clientEnd = ends[1];
    KJ_SYSCALL(child = fork());
    if (child == 0) {
      close(ends[1]);
      [&]() noexcept { _exit(runDaemon(kj::AutoCloseFd(ends[0]))); }();
    }
    close(ends[0]);
    // Not before the fork: the child has a loop of its own.
    loop = kj::setupAsyncIo();
  }

  kj::AsyncIoContext& io() { return KJ_ASSERT_NONNULL(loop); }

  void TearDown() override {
    if (child != 0) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }

  // The whole of a worker's main().
  static int runDaemon(kj::AutoCloseFd connection) {
    CrashGuard::install("test-server");
    Daemon daemon("test-server");
    int raw;
    KJ_SYSCALL(raw = open("/dev/null", O_RDONLY | O_CLOEXEC));
    Sandbox("test-server").limitFiles(64).guardMemory().enter(test_server_policy);
    return daemon.run(serveOne(daemon.provider(), kj::mv(connection), ConnectionLimits{},
                               kj::heap<PlatformServer>(kj::AutoCloseFd(raw))));
  }

  kj::Own<Connection> connect() {
    auto stream = io().lowLevelProvider->wrapUnixSocketFd(kj::AutoCloseFd(clientEnd));
    return kj::heap<Connection>(kj::mv(stream), ConnectionLimits{});
  }

  int statusAtEnd() {
    int status;
    KJ_SYSCALL(waitpid(child, &status, 0));
    child = 0;
    return status;
  }
};

TEST_F(SandboxedServer, AnswersFromAThread) {
  auto connection = connect();
  auto platform = connection->bootstrap<schema::Platform>();
  EXPECT_EQ(platform.versionRequest().send().wait(io().waitScope).getVersion(), "from a thread");
}

TEST_F(SandboxedServer, SendsAnException) {
  auto connection = connect();
  auto platform = connection->bootstrap<schema::Platform>();
  try {
    platform.sessionRequest().send().wait(io().waitScope);
    FAIL() << "no exception";
  } catch (kj::Exception& e) {
    EXPECT_THAT(std::string(e.getDescription().cStr()), HasSubstr("no session"));
  }
  EXPECT_EQ(platform.versionRequest().send().wait(io().waitScope).getVersion(), "from a thread");
}

TEST_F(SandboxedServer, PassesADescriptor) {
  auto connection = connect();
  auto platform = connection->bootstrap<schema::Platform>();
  auto fd = platform.getFd().wait(io().waitScope);
  struct stat status;
  EXPECT_EQ(fstat(KJ_ASSERT_NONNULL(fd), &status), 0);
  EXPECT_TRUE(S_ISCHR(status.st_mode));
}

TEST_F(SandboxedServer, EndsWithItsPeer) {
  {
    auto connection = connect();
  }
  EXPECT_EQ(statusAtEnd(), 0);
}

TEST_F(SandboxedServer, EndsOnSigterm) {
  auto connection = connect();
  auto platform = connection->bootstrap<schema::Platform>();
  platform.versionRequest().send().wait(io().waitScope);
  kill(child, SIGTERM);
  EXPECT_EQ(statusAtEnd(), 0);
}

// --- crashes under every policy
// --------------------------------------------------------------------

class CrashUnderPolicy : public testing::TestWithParam<const SeccompPolicy*> {
 protected:
  ChildOutcome crash(kj::Function<void()> violation) {
    return runInChild([&] {
      CrashGuard::install("test");
      Sandbox("test").enter(*GetParam());
      violation();
    });
  }
};

TEST_P(CrashUnderPolicy, UncaughtExceptionSaysWhy) {
  auto outcome = crash([] { KJ_FAIL_REQUIRE("the very reason"); });
  EXPECT_TRUE(outcome.diedBy(SIGABRT)) << outcome.status;
  EXPECT_THAT(outcome.errors, HasSubstr("the very reason"));
}

TEST_P(CrashUnderPolicy, FailedAssertionAborts) {
  auto outcome = crash([] {
    std::vector<int> empty;
    empty[empty.size()] = 1;
  });
  EXPECT_TRUE(outcome.diedBy(SIGABRT)) << outcome.status;
  EXPECT_THAT(outcome.errors, HasSubstr("bulkhead-crash"));
}

TEST_P(CrashUnderPolicy, LoggedExceptionDoesNotKill) {
  auto outcome = crash([] {
    try {
      KJ_FAIL_REQUIRE("logged", 1);
    } catch (kj::Exception& e) {
      KJ_LOG(ERROR, "caught", e);
    }
  });
  EXPECT_TRUE(outcome.exitedWith(0)) << outcome.status << outcome.errors;
  EXPECT_THAT(outcome.errors, HasSubstr("logged"));
}

TEST_P(CrashUnderPolicy, BadAddressIsNamed) {
  auto outcome = crash([] {
    volatile int* address = reinterpret_cast<volatile int*>(0x1230);
    asm volatile("" : "+r"(address));
    *address = 1;
  });
  EXPECT_TRUE(outcome.diedBy(SIGSEGV)) << outcome.status;
  EXPECT_THAT(outcome.errors, HasSubstr("address=0x1230"));
}

INSTANTIATE_TEST_SUITE_P(All, CrashUnderPolicy, testing::ValuesIn(allPolicies),
                         [](const auto& info) {
                           std::string name = info.param->name;
                           for (char& c : name) {
                             if (c == '-') c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace bulkhead
