// SPDX-License-Identifier: Apache-2.0
//
// Files into and out of a container, with tar(1) of the build machine on the other side.
#include <stdlib.h>

#include <string>
#include <utility>

#include <kj/debug.h>
#include <kj/filesystem.h>

#include "zoneinit/testing/agent-fixture.h"

namespace bulkhead::zone {
namespace {

// Takes one write and refuses all others.
class FailingStream final : public schema::ByteStream::Server {
 public:
  kj::Promise<void> write(WriteContext) override {
    if (++writes > 1) fail(FailureCode::CANCELLED, "output", "nobody reads it any more");
    return kj::READY_NOW;
  }
  kj::Promise<void> end(EndContext) override { return kj::READY_NOW; }

 private:
  int writes = 0;
};

class FilesTest : public ZoneAgentTest {
 public:
  ~FilesTest() noexcept override {}

 protected:
  kj::String folder;
  kj::Maybe<schema::Workload::Client> running;

  void SetUp() override {
    folder = kj::str(shared->folder, "/files");
    shell(kj::str("rm -rf ", folder, " && mkdir ", folder));
    running = client.create(words({"sleep", "1000"}));
    client.start(workload());
  }

  void TearDown() override {
    workload().destroyRequest().send().wait(ws);
    ZoneAgentTest::TearDown();
  }

  schema::Workload::Client& workload() { return KJ_ASSERT_NONNULL(running); }

  // In the test's own folder.
  void shell(kj::StringPtr line) {
    auto command = kj::str("set -e; cd ", shared->folder, "/files 2>/dev/null || true; ", line);
    KJ_REQUIRE(system(command.cStr()) == 0, "a command of the test's set-up failed", command);
  }

  kj::Array<const kj::byte> content(kj::StringPtr name) {
    auto disk = kj::newDiskFilesystem();
    auto path = disk->getCurrentPath().eval(kj::str(folder, "/", name));
    return disk->getRoot().openFile(path)->readAllBytes();
  }

  schema::ByteStream::Client putStream(kj::StringPtr directory) {
    auto request = workload().putFilesRequest();
    request.setDirectory(directory);
    return request.send().wait(ws).getArchive();
  }

  static void writeAll(kj::WaitScope& ws, schema::ByteStream::Client stream,
                       kj::ArrayPtr<const kj::byte> bytes) {
    while (bytes.size() > 0) {
      auto count = kj::min(bytes.size(), size_t{64} << 10);
      auto request = stream.writeRequest();
      request.setBytes(bytes.slice(0, count));
      request.send().wait(ws);
      bytes = bytes.slice(count, bytes.size());
    }
  }

  void put(kj::StringPtr directory, kj::ArrayPtr<const kj::byte> archive) {
    auto stream = putStream(directory);
    writeAll(ws, stream, archive);
    stream.endRequest().send().wait(ws);
  }

  // An archive that a line of shell writes to "a.tar".
  void putMade(kj::StringPtr directory, kj::StringPtr line) {
    shell(line);
    put(directory, content("a.tar"));
  }

  kj::Own<Collected> get(kj::StringPtr path) {
    auto archive = kj::refcounted<Collected>();
    auto request = workload().getFilesRequest();
    request.setPath(path);
    request.setInto(collectInto(*archive));
    request.send().wait(ws);
    EXPECT_TRUE(archive->ended);
    return archive;
  }

  void getInto(kj::StringPtr path, kj::StringPtr file) {
    auto archive = get(path);
    auto disk = kj::newDiskFilesystem();
    auto target = disk->getCurrentPath().eval(kj::str(folder, "/", file));
    disk->getRoot()
        .openFile(target, kj::WriteMode::CREATE | kj::WriteMode::MODIFY)
        ->writeAll(archive->bytes.asPtr().asBytes());
  }

  uint movers() {
    uint count = 0;
    auto response = client.agent.processesRequest().send().wait(ws);
    for (auto process : response.getProcesses()) {
      if (process.getName() == "bulkhead-files") ++count;
    }
    return count;
  }

  // How the process is in the zone's list: until it has started, or gone.
  void waitForMovers(uint count) {
    for (int i = 0; i < 1000 && movers() != count; ++i) {
      shared->io.provider->getTimer().afterDelay(10 * kj::MILLISECONDS).wait(ws);
    }
    EXPECT_EQ(movers(), count);
  }

  std::string sh(kj::StringPtr line) {
    auto outcome = client.exec(workload(), line);
    return (outcome.code == 0 ? "" : "failed: ") + std::string(outcome.output.cStr());
  }
};

TEST_F(FilesTest, GoInAndComeOutAsTheyWere) {
  shell(R"sh(
mkdir -p src/empty src/deep; cd src
echo hello > plain; chmod 640 plain; chown 1000:2000 plain
echo tool > tool; chmod 4755 tool
chmod 2750 deep; echo x > "deep/$(printf 'odd \377 \n name')"
ln -s ../../etc/passwd link; ln -s nowhere dangling
truncate -s 20M sparse; echo middle | dd of=sparse bs=1M seek=10 conv=notrunc status=none
long=$(printf 'n%.0s' $(seq 200)); mkdir $long; echo deep > $long/$long
find . -exec touch -h -d @1000000000 {} +
cd ..; tar --numeric-owner -cf a.tar src)sh");
  put("/tmp", content("a.tar"));
  EXPECT_EQ(sh("stat -c '%a %u %g %Y' /tmp/src/plain /tmp/src/tool; cat /tmp/src/plain; "
               "readlink /tmp/src/link; stat -c %s /tmp/src/sparse"),
            "640 1000 2000 1000000000\n4755 0 0 1000000000\nhello\n../../etc/passwd\n20971520\n");
  getInto("/tmp/src", "b.tar");
  shell(R"sh(
mkdir out; tar --numeric-owner --delay-directory-restore -C out -xpf b.tar 2>/dev/null
diff -r --no-dereference src out/src
list() { (cd $1 && find . ! -type d -printf '%p %y %m %U %G %s %l %Ts\n' -o -printf '%p %m %Ts\n' | sort); }
list src > one; list out/src > two; diff -a one two; test -s one)sh");
  // Once more over what is there.
  put("/tmp", content("b.tar"));
  EXPECT_EQ(sh("cat /tmp/src/plain"), "hello\n");
}

TEST_F(FilesTest, NamesFollowThePath) {
  putMade("/tmp", "mkdir -p d/e; echo 1 > d/e/f; tar -cf a.tar d");
  auto names = [&](kj::StringPtr path) -> std::string {
    getInto(path, "n.tar");
    shell("tar -tf n.tar | sort | tr '\\n' ' ' > names");
    auto text = content("names");
    shell("rm n.tar names");
    return std::string(text.asChars().begin(), text.size());
  };
  EXPECT_EQ(names("/tmp/d"), "d/ d/e/ d/e/f ");
  EXPECT_EQ(names("/tmp/d/"), "d/ d/e/ d/e/f ");
  EXPECT_EQ(names("/tmp/d/e/."), "./ ./f ");
  EXPECT_EQ(names("/tmp/d/e/f"), "f ");
}

TEST_F(FilesTest, NothingLeavesTheDirectory) {
  EXPECT_EQ(sh("mkdir /tmp/in; ln -s /etc /tmp/in/there"), "");
  auto refused = [&](kj::StringPtr make) {
    auto failure = failureFrom([&]() { putMade("/tmp/in", make); });
    EXPECT_EQ(failure.code, FailureCode::INVALID) << make.cStr() << failure.message.cStr();
    return std::string(failure.message.cStr());
  };
  EXPECT_NE(refused("echo x > x; tar -P --transform 's,x,../x,' -cf a.tar x").find(".."),
            std::string::npos);
  refused("tar -P --transform 's,x,/tmp/abs,' -cf a.tar x");
  refused("tar --transform 's,x,there/x,' -cf a.tar x");
  refused(R"(mkdir s; ln -s /etc s/l; tar -cf a.tar s; rm s/l; mkdir s/l; echo x > s/l/x
             tar -rf a.tar s/l/x)");
  EXPECT_EQ(sh("ls /tmp/x /tmp/abs /etc/x 2>/dev/null || true; ls /tmp/in/there | grep -c passwd"),
            "1\n");
  // A link that is itself in the way is replaced.
  putMade("/tmp/in", "echo mine > there; tar -cf a.tar there");
  EXPECT_EQ(sh("cat /tmp/in/there; test -d /etc && echo etc"), "mine\netc\n");
}

TEST_F(FilesTest, FailuresSayWhatIsWrong) {
  shell("echo x > x; tar -cf a.tar x; head -c 700 a.tar > cut.tar; echo no archive > no.tar");
  auto code = [&](kj::StringPtr directory, kj::StringPtr file) {
    return failureFrom([&]() { put(directory, content(file)); }).code;
  };
  EXPECT_EQ(code("/no/such", "a.tar"), FailureCode::NOT_FOUND);
  EXPECT_EQ(code("/etc/passwd", "a.tar"), FailureCode::INVALID);
  EXPECT_EQ(code("relative", "a.tar"), FailureCode::INVALID);
  EXPECT_EQ(code("/tmp", "cut.tar"), FailureCode::INVALID);
  EXPECT_EQ(code("/tmp", "no.tar"), FailureCode::INVALID);
  EXPECT_EQ(failureFrom([&]() { put("/tmp", nullptr); }).code, FailureCode::INVALID);
  auto missing = failureFrom([&]() { get("/no/such"); });
  EXPECT_EQ(missing.code, FailureCode::NOT_FOUND);
  EXPECT_STREQ(missing.subject.cStr(), "/no/such");
  EXPECT_EQ(failureFrom([&]() { get("/no/such/."); }).code, FailureCode::NOT_FOUND);
  EXPECT_EQ(failureFrom([&]() { get("/etc/passwd/."); }).code, FailureCode::INVALID);
  EXPECT_EQ(failureFrom([&]() { get("/tmp/.."); }).code, FailureCode::INVALID);
  EXPECT_EQ(failureFrom([&]() { get(kj::str("/", kj::repeat('x', 4096))); }).code,
            FailureCode::INVALID);
  // /dev/shm holds 64 MiB.
  shell("head -c 80M /dev/zero > big; tar -cf a.tar big; rm big");
  EXPECT_EQ(code("/dev/shm", "a.tar"), FailureCode::EXHAUSTED);
}

TEST_F(FilesTest, OnlyWhileTheContainerRuns) {
  auto created = client.create(words({"true"}));
  auto busy = [&]() {
    EXPECT_EQ(failureFrom([&]() {
                auto request = created.putFilesRequest();
                request.setDirectory("/tmp");
                request.send().wait(ws);
              }).code,
              FailureCode::BUSY);
    EXPECT_EQ(failureFrom([&]() {
                auto request = created.getFilesRequest();
                request.setPath("/etc");
                request.setInto(kj::heap<FailingStream>());
                request.send().wait(ws);
              }).code,
              FailureCode::BUSY);
  };
  busy();
  auto main = client.start(created);
  client.finish(main);
  busy();
  created.destroyRequest().send().wait(ws);
}

TEST_F(FilesTest, TheProcessMayWriteFilesAndNothingElse) {
  auto stream = putStream("/tmp");
  waitForMovers(1);
  auto status =
      sh("for p in /proc/[0-9]*; do grep -q bulkhead-files $p/comm && grep -E "
         "'^(CapEff|NoNewPrivs|Seccomp|Uid):' $p/status && grep ^0: $p/cgroup; done; true");
  EXPECT_EQ(status,
            "Uid:\t0\t0\t0\t0\nCapEff:\t000000000800001b\nNoNewPrivs:\t1\nSeccomp:\t2\n0::/\n");
  stream = nullptr;
  waitForMovers(0);
}

TEST_F(FilesTest, OwnersAreThoseTheContainerSees) {
  auto mapped = client.create(words({"sleep", "1000"}), [](schema::WorkloadSpec::Builder spec) {
    auto settings = spec.getSettings();
    for (auto list : {settings.initUserMappings(1), settings.initGroupMappings(1)}) {
      list[0].setOutside(100'000);
      list[0].setCount(65'536);
    }
    settings.initNamespaces(1)[0].setKind(schema::NamespaceChoice::Kind::USER);
    settings.getNamespaces()[0].setOwn();
  });
  client.start(mapped);
  std::swap(workload(), mapped);
  shell("echo x > x; chown 1000:1000 x; tar --numeric-owner -cf a.tar x");
  put("/tmp", content("a.tar"));
  EXPECT_EQ(sh("stat -c '%u %g' /tmp/x"), "1000 1000\n");
  getInto("/tmp/x", "b.tar");
  shell("tar --numeric-owner -tvf b.tar | grep -q 1000/1000");
  mapped.destroyRequest().send().wait(ws);
}

TEST_F(FilesTest, EndsWithWhomItIsFor) {
  EXPECT_EQ(sh("head -c 50000000 /dev/zero > /tmp/big"), "");
  auto request = workload().getFilesRequest();
  request.setPath("/tmp/big");
  request.setInto(kj::heap<FailingStream>());
  EXPECT_EQ(failureFrom([&]() { request.send().wait(ws); }).code, FailureCode::CANCELLED);
  waitForMovers(0);

  // A call that nobody waits for any more.
  class StuckStream final : public schema::ByteStream::Server {
   public:
    kj::Promise<void> write(WriteContext) override { return kj::NEVER_DONE; }
  };
  auto stuck = workload().getFilesRequest();
  stuck.setPath("/tmp/big");
  stuck.setInto(kj::heap<StuckStream>());
  {
    auto call = stuck.send();
    waitForMovers(1);
  }
  waitForMovers(0);

  // A writer that goes in the middle.
  shell("head -c 1M /dev/zero > big; tar -cf a.tar big");
  auto stream = putStream("/tmp");
  auto bytes = content("a.tar");
  writeAll(ws, stream, bytes.slice(0, bytes.size() / 2));
  waitForMovers(1);
  stream = nullptr;
  waitForMovers(0);
}

}  // namespace
}  // namespace bulkhead::zone
