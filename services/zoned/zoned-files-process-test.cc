// SPDX-License-Identifier: Apache-2.0
//
// `zone cp` through the real zoned: archives pass between the command and the link.
#include <stdlib.h>

#include <string>

#include <kj/debug.h>
#include <kj/filesystem.h>

#include "services/zoned/testing/zoned-fixture.h"

namespace bulkhead::testing {
namespace {

class ZonedFiles : public ZonedProcess {
 public:
  ~ZonedFiles() noexcept override {}

 protected:
  void SetUp() override {
    startZoned();
    EXPECT_EQ(run({"zone", "launch", "--name", "web", "debian:13", "sleep"}).code, 0);
    shell("mkdir here");
  }

  int shell(kj::StringPtr line) {
    return system(kj::str("set -e; cd ", directory, "; ", line).cStr());
  }

  kj::String at(kj::StringPtr name) { return kj::str(directory, "/here/", name); }

  // What the container has at a path, as an archive that tar(1) makes of words.
  void has(kj::StringPtr path, kj::StringPtr tarArguments) {
    ASSERT_EQ(shell(kj::str("tar -cf a.tar ", tarArguments)), 0);
    auto disk = kj::newDiskFilesystem();
    auto file = kj::refcounted<MockWorld::MockFile>();
    file->bytes.addAll(disk->getRoot()
                           .openFile(disk->getCurrentPath().eval(kj::str(directory, "/a.tar")))
                           ->readAllBytes());
    world.domains[0]->files.upsert(kj::str(path), kj::mv(file),
                                   [](auto& old, auto&& fresh) { old = kj::mv(fresh); });
  }

  // What tar(1) finds in the archive that was put to a directory, in one line.
  std::string put(kj::StringPtr path) {
    KJ_IF_MAYBE (file, world.domains[0]->files.find(path)) {
      auto disk = kj::newDiskFilesystem();
      disk->getRoot()
          .openFile(disk->getCurrentPath().eval(kj::str(directory, "/p.tar")),
                    kj::WriteMode::CREATE | kj::WriteMode::MODIFY)
          ->writeAll((*file)->bytes);
      shell("tar -tf p.tar | sort | tr '\\n' ' ' > p.list");
      return disk->getRoot()
          .openFile(disk->getCurrentPath().eval(kj::str(directory, "/p.list")))
          ->readAllText()
          .cStr();
    }
    return "nothing";
  }
};

TEST_F(ZonedFiles, GoIn) {
  shell("mkdir -p here/conf/deep; echo x > here/conf/deep/file; echo y > here/plain");
  has("/etc/.", "here");
  auto copied = run({"zone", "cp", at("conf"), "web:/etc"});
  EXPECT_EQ(copied.code, 0) << copied.errors.cStr();
  EXPECT_EQ(put("/etc"), "conf/ conf/deep/ conf/deep/file ");
  EXPECT_EQ(run({"zone", "cp", at("conf/."), "web:/etc"}).code, 0);
  EXPECT_EQ(put("/etc"), "./ ./deep/ ./deep/file ");
  EXPECT_EQ(run({"zone", "cp", at("conf"), "web:/etc/app"}).code, 0);
  EXPECT_EQ(put("/etc"), "app/ app/deep/ app/deep/file ");
  EXPECT_EQ(run({"zone", "cp", at("plain"), "web:/file"}).code, 0);
  EXPECT_EQ(put("/"), "file ");

  auto refused = run({"zone", "cp", at("conf"), "web:/file"});
  EXPECT_EQ(refused.code, 125);
  EXPECT_NE(std::string(refused.errors.cStr()).find("a directory cannot replace a file"),
            std::string::npos);
  EXPECT_EQ(run({"zone", "cp", at("plain"), "web:/new/"}).code, 125);
  EXPECT_EQ(run({"zone", "cp", at("none"), "web:/etc"}).code, 125);
  auto missing = run({"zone", "cp", at("plain"), "web:/missing/file"});
  EXPECT_NE(std::string(missing.errors.cStr()).find("/missing"), std::string::npos)
      << missing.errors.cStr();
  auto nowhere = run({"zone", "cp", at("plain"), "other:/etc"});
  EXPECT_NE(std::string(nowhere.errors.cStr()).find("there is no such zone"), std::string::npos);
  for (auto& result : {run({"zone", "cp", at("plain"), at("conf")}),
                       run({"zone", "cp", "web:/a", "web:/b"}), run({"zone", "cp", "-", "-"})}) {
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(std::string(result.errors.cStr()).find("ZONE:PATH"), std::string::npos);
  }
}

TEST_F(ZonedFiles, ComeOut) {
  shell("mkdir -p app/deep; echo x > app/deep/file; chmod 4750 app/deep/file");
  has("/srv/app", "app");
  auto copied = run({"zone", "cp", "web:/srv/app", at("")});
  EXPECT_EQ(copied.code, 0) << copied.errors.cStr();
  EXPECT_EQ(shell("test $(stat -c %a here/app/deep/file) = 750"), 0);
  EXPECT_EQ(run({"zone", "cp", "web:/srv/app", at("renamed")}).code, 0);
  EXPECT_EQ(shell("diff -r app here/renamed"), 0);
  has("/srv/app/.", "-C app .");
  EXPECT_EQ(run({"zone", "cp", "web:/srv/app/.", at("content")}).code, 0);
  EXPECT_EQ(shell("diff -r app here/content"), 0);

  EXPECT_EQ(run({"zone", "cp", "web:/srv/app", at("app/deep/file")}).code, 125);
  EXPECT_EQ(run({"zone", "cp", "web:/srv/app", at("no/where")}).code, 125);
  auto missing = run({"zone", "cp", "web:/none", at("")});
  EXPECT_EQ(missing.code, 125);
  EXPECT_NE(std::string(missing.errors.cStr()).find("bulkhead: /none: there is none"),
            std::string::npos)
      << missing.errors.cStr();
}

TEST_F(ZonedFiles, AHostileZoneWritesNothingElse) {
  shell("echo bad > bad; mkdir app; echo victim > victim");
  for (kj::StringPtr archive :
       {"-P --transform 's,bad,../victim,' bad", "-P --transform 's,bad,app/../../victim,' bad",
        "--transform 's,bad,.profile,' bad", "app --transform 's,^bad,other,' bad"}) {
    has("/srv/app", archive);
    auto copied = run({"zone", "cp", "web:/srv/app", at("")});
    EXPECT_EQ(copied.code, 125) << archive.cStr();
  }
  EXPECT_EQ(shell("test \"$(cat victim)\" = victim; test ! -e here/.profile; test ! -e here/other"),
            0);
}

TEST_F(ZonedFiles, StreamsPassAsTheyAre) {
  auto in = run({"zone", "cp", "-", "web:/srv"}, "what an archive is");
  EXPECT_EQ(in.code, 0) << in.errors.cStr();
  EXPECT_STREQ(run({"zone", "cp", "web:/srv", "-"}).output.cStr(), "what an archive is");
  auto missing = run({"zone", "cp", "-", "web:/missing"}, "x");
  EXPECT_EQ(missing.code, 125);
}

}  // namespace
}  // namespace bulkhead::testing
