// SPDX-License-Identifier: Apache-2.0
//
// Trees through archives, each call in a process of its own; tar(1) is the other side.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include <kj/debug.h>
#include <kj/function.h>
#include <kj/io.h>

#include "services/tar/failure-line.h"
#include "services/tar/tree-pack.h"
#include "services/tar/tree-unpack.h"

namespace bulkhead {
namespace {

TEST(Paths, LastParts) {
  EXPECT_STREQ(lastPart("/var/app").cStr(), "app");
  EXPECT_STREQ(lastPart("/var/app//").cStr(), "app");
  EXPECT_STREQ(lastPart("app").cStr(), "app");
  for (kj::StringPtr directory : {"/", "", ".", "./", "/var/app/.", "/var/./"}) {
    EXPECT_STREQ(lastPart(directory).cStr(), ".") << directory.cStr();
  }
  for (kj::StringPtr bad : {"..", "/..", "/var/../"}) {
    EXPECT_THROW((void)lastPart(bad), kj::Exception) << bad.cStr();
  }
}

TEST(FailureLines, ThereAndBack) {
  auto line = encodeFailureLine(failure(FailureCode::EXHAUSTED, "a\tb", "no\nspace", "hint"));
  EXPECT_STREQ(line.cStr(), "exhausted\ta b\tno\\x0aspace\thint\n");
  auto back = decodeFailureLine(line);
  EXPECT_EQ(back.code, FailureCode::EXHAUSTED);
  EXPECT_STREQ(back.message.cStr(), "no\\x0aspace");
  EXPECT_STREQ(back.hint.cStr(), "hint");
  for (kj::StringPtr bad : {"", "\n", "nonsense\ta\tb\tc\n", "exhausted\ta\n", "\x1b[2J"}) {
    EXPECT_EQ(decodeFailureLine(bad).code, FailureCode::INTERNAL) << bad.cStr();
  }
}

class Trees : public testing::Test {
 public:
  Trees() {
    char path[] = "/tmp/bulkhead-tar-XXXXXX";
    KJ_REQUIRE(mkdtemp(path) != nullptr);
    folder = kj::str(static_cast<const char*>(path));
  }
  ~Trees() noexcept override { shell("cd /; rm -rf \"$OLDPWD\""); }

 protected:
  kj::String folder;

  int shell(kj::StringPtr line) {
    return system(kj::str("cd ", folder, "; set -e; ", line).cStr());
  }

  kj::String at(kj::StringPtr name) { return kj::str(folder, "/", name); }

  // What `body` failed with in a process of its own; empty when it did not.
  std::string inProcess(kj::Function<void()> body) {
    int ends[2];
    KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
    pid_t child = fork();
    if (child == 0) {
      kj::String line;
      try {
        body();
      } catch (...) {
        line = encodeFailureLine(failureOf(kj::getCaughtExceptionAsKj()));
      }
      kj::FdOutputStream(ends[1]).write(line.begin(), line.size());
      _exit(0);
    }
    close(ends[1]);
    kj::FdInputStream input{kj::AutoCloseFd(ends[0])};
    std::string result = input.readAllText().cStr();
    waitpid(child, nullptr, 0);
    return result;
  }

  std::string unpack(kj::StringPtr archive, UnpackAs as = UnpackAs::caller,
                     kj::Maybe<TopEntry> top = nullptr) {
    return inProcess([&]() {
      int input;
      KJ_SYSCALL(input = open(at(archive).cStr(), O_RDONLY));
      unpackTree(input, at("to"), as, kj::mv(top));
    });
  }

  std::string unpackTop(kj::StringPtr expected, kj::StringPtr name,
                        TopEntry::Kind kind = TopEntry::Kind::any) {
    return unpack("a.tar", UnpackAs::caller, TopEntry{kj::str(expected), kj::str(name), kind});
  }

  std::string pack(kj::StringPtr path, kj::StringPtr name, PackOwners owners = PackOwners::kept) {
    return inProcess([&]() {
      int output;
      KJ_SYSCALL(output = open(at("a.tar").cStr(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
      packTree(path, name, owners, output);
    });
  }
};

TEST_F(Trees, NamesAreAsAsked) {
  shell("mkdir -p src/deep to; echo x > src/deep/file; ln -s src link");
  EXPECT_EQ(pack(at("src"), "other"), "");
  EXPECT_EQ(shell("test \"$(tar -tf a.tar | sort | tr '\\n' ' ')\" = "
                  "'other/ other/deep/ other/deep/file '"),
            0);
  EXPECT_EQ(pack(at("src/."), "."), "");
  EXPECT_EQ(shell("test \"$(tar -tf a.tar | sort | tr '\\n' ' ')\" = './ ./deep/ ./deep/file '"),
            0);
  EXPECT_EQ(pack(at("link"), "link"), "");
  EXPECT_EQ(shell("test \"$(tar -tf a.tar)\" = link"), 0);
  EXPECT_EQ(pack(at("link/"), "link"), "");
  EXPECT_EQ(shell("test \"$(tar -tf a.tar | wc -l)\" = 3"), 0);
  EXPECT_EQ(pack(at("src"), "src", PackOwners::root), "");
  EXPECT_EQ(shell("test \"$(tar --numeric-owner -tvf a.tar | grep -vc ' 0/0 ')\" = 0"), 0);
  EXPECT_EQ(pack(at("none"), "none").rfind("notFound\t", 0), 0u);
  EXPECT_EQ(pack(at("src/deep/file/."), ".").rfind("invalid\t", 0), 0u);
}

TEST_F(Trees, TheTopEntryIsRenamedAndNothingElseIsTaken) {
  shell(
      "mkdir -p src/deep to; echo x > src/deep/file; ln src/deep/file src/hard; "
      "tar -cf a.tar src; mkdir other; tar -rf a.tar other");
  auto refused = unpackTop("src", "new");
  EXPECT_NE(refused.find("other"), std::string::npos) << refused;
  shell("rm -r to; mkdir to; tar -cf a.tar src");
  EXPECT_EQ(unpackTop("src", "new"), "");
  EXPECT_EQ(shell("test $(cat to/new/deep/file to/new/hard | wc -l) = 2"), 0);
  EXPECT_EQ(unpackTop("sr", "new").rfind("invalid\t", 0), 0u);
  shell("tar -C src -cf a.tar .");
  EXPECT_EQ(unpackTop(".", "."), "");
  EXPECT_EQ(shell("test -f to/deep/file"), 0);
  EXPECT_EQ(unpackTop(".", "made"), "");
  EXPECT_EQ(shell("test -f to/made/deep/file"), 0);
  EXPECT_EQ(unpackTop(".", "x", TopEntry::Kind::noDirectory).rfind("invalid\t", 0), 0u);
  shell("tar -C src/deep -cf a.tar file");
  EXPECT_EQ(unpackTop("file", "x", TopEntry::Kind::directory).rfind("invalid\t", 0), 0u);
  EXPECT_EQ(shell("test ! -e to/x"), 0);
}

TEST_F(Trees, WhatAStrangerMadeStaysInItsDirectory) {
  shell("mkdir to victim; echo good > victim/file; echo bad > bad");
  auto refused = [&](kj::StringPtr make) {
    EXPECT_EQ(shell(kj::str("rm -rf s a.tar to/*; ", make)), 0);
    auto result = unpack("a.tar");
    EXPECT_EQ(result.rfind("invalid\t", 0), 0u) << make.cStr() << ": " << result;
  };
  refused("tar -P --transform 's,bad,../victim/file,' -cf a.tar bad");
  refused("tar -P --transform \"s,bad,$PWD/victim/file,\" -cf a.tar bad");
  refused(
      "mkdir s; ln -s ../victim s/l; tar -C s -cf a.tar l; rm s/l; mkdir s/l; "
      "cp bad s/l/file; tar -C s -rf a.tar l/file");
  refused(
      "ln -s ../victim to/there; mkdir -p s/there; cp bad s/there/file; "
      "tar -C s -cf a.tar there/file");
  // A hard link to what a symbolic link leads to, and then a file of that name.
  refused(
      "mkdir s; ln -s ../victim s/l; tar -C s -cf a.tar l; cp bad s/x; ln s/x s/h; "
      "tar -C s -rf a.tar --transform 'flags=h;s,^x$,l/file,' x h; "
      "tar -tvf a.tar | grep -q 'h link to l/file'");
  EXPECT_EQ(shell("test \"$(cat victim/file)\" = good; test $(ls victim | wc -l) = 1"), 0);
  // A link in the very place of a file is replaced by it.
  shell(
      "rm -rf to/* s; mkdir s; cp bad s/file; ln -s ../victim/file to/file; tar -C s -cf a.tar "
      "file");
  EXPECT_EQ(unpack("a.tar"), "");
  EXPECT_EQ(shell("test \"$(cat victim/file)\" = good; test \"$(cat to/file)\" = bad"), 0);
}

TEST_F(Trees, AStrangerDecidesNoPrivilege) {
  shell(
      "mkdir to s; echo x > s/tool; chmod 6755 s/tool; mkfifo s/pipe; chown 1234:1234 s/tool "
      "2>/dev/null || true; chmod 6755 s/tool; tar --numeric-owner -cf a.tar s");
  EXPECT_EQ(unpack("a.tar"), "");
  EXPECT_EQ(shell("test $(stat -c %a to/s/tool) = 755; test ! -e to/s/pipe; "
                  "test $(stat -c %u to/s/tool) = $(id -u)"),
            0);
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give files away";
  shell("rm -r to/s");
  EXPECT_EQ(unpack("a.tar", UnpackAs::root), "");
  EXPECT_EQ(shell("test $(stat -c %a:%u to/s/tool) = 6755:1234; test -p to/s/pipe"), 0);
}

TEST_F(Trees, NoArchiveIsNone) {
  shell("mkdir to; echo nothing > no.tar; : > empty.tar; gzip -c no.tar > packed.tar");
  for (kj::StringPtr bad : {"no.tar", "empty.tar", "packed.tar"}) {
    EXPECT_EQ(unpack(bad).rfind("invalid\t", 0), 0u) << bad.cStr();
  }
}

}  // namespace
}  // namespace bulkhead
