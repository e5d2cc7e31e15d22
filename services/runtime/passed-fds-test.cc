// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/passed-fds.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>

namespace bulkhead {
namespace {

// Passed descriptors begin at 3, so each case runs in a child that arranges them.
template <typename Body>
int inChild(Body&& body) {
  pid_t child = fork();
  if (child == 0) {
    int zero = open("/dev/null", O_RDONLY);
    dup2(zero, 3);
    dup2(zero, 4);
    int code = 99;
    try {
      code = body();
    } catch (...) {
      code = 42;
    }
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void passing(const char* count, const char* names) {
  setenv("LISTEN_FDS", count, 1);
  setenv("LISTEN_FDNAMES", names, 1);
  setenv("LISTEN_PID", kj::str(getpid()).cStr(), 1);
}

TEST(PassedFds, TakesByName) {
  EXPECT_EQ(inChild([]() {
              passing("2", "one:two");
              auto fds = PassedFds::receive();
              auto two = fds.take("two");
              auto one = fds.take("one");
              fds.expectAllTaken();
              bool closeOnExec = (fcntl(two, F_GETFD) & FD_CLOEXEC) != 0;
              return two.get() == 4 && one.get() == 3 && closeOnExec &&
                             getenv("LISTEN_FDS") == nullptr
                         ? 0
                         : 1;
            }),
            0);
}

TEST(PassedFds, MissingOneIsRefused) {
  EXPECT_EQ(inChild([]() {
              passing("1", "one");
              auto fds = PassedFds::receive();
              auto missing = fds.take("two");
              return 0;
            }),
            42);
}

TEST(PassedFds, UnexpectedOneIsRefused) {
  EXPECT_EQ(inChild([]() {
              passing("2", "one:stray");
              auto fds = PassedFds::receive();
              auto one = fds.take("one");
              fds.expectAllTaken();
              return 0;
            }),
            42);
}

TEST(PassedFds, AnotherProcesssVariablesAreIgnored) {
  EXPECT_EQ(inChild([]() {
              passing("2", "one:two");
              setenv("LISTEN_PID", "1", 1);
              auto fds = PassedFds::receive();
              return fds.takeIfPassed("one") == nullptr ? 0 : 1;
            }),
            0);
}

TEST(PassedFds, AbsurdCountIsRefused) {
  EXPECT_EQ(inChild([]() {
              passing("100000", "one");
              auto fds = PassedFds::receive();
              return 0;
            }),
            42);
}

}  // namespace
}  // namespace bulkhead
