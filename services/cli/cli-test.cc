// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <capnp/message.h>

#include "services/cli/archive-process.h"
#include "services/cli/copy-command.h"
#include "services/cli/image-text.h"
#include "services/cli/json.h"
#include "services/cli/process-session.h"
#include "services/cli/progress-lines.h"
#include "services/cli/run-command.h"
#include "services/cli/table.h"
#include "services/cli/time-text.h"
#include "services/cli/usage-text.h"
#include "services/runtime/landlock.h"

namespace bulkhead {
namespace {

TEST(Memory, SizesAndUnits) {
  EXPECT_EQ(memoryMiBOf("256"), 256u);
  EXPECT_EQ(memoryMiBOf("256M"), 256u);
  EXPECT_EQ(memoryMiBOf("1G"), 1024u);
  EXPECT_EQ(memoryMiBOf("2GiB"), 2048u);
  for (kj::StringPtr bad : {"", "M", "0", "-1", "1T", "1.5G", "99999999999999999999", "4194304G"}) {
    EXPECT_THROW(memoryMiBOf(bad), kj::Exception) << bad.cStr();
  }
}

TEST(ExitCodes, AsShellsHaveThem) {
  EXPECT_EQ(exitCodeOf(FailureCode::COMMAND_NOT_FOUND), 127);
  EXPECT_EQ(exitCodeOf(FailureCode::COMMAND_NOT_EXECUTABLE), 126);
  EXPECT_EQ(exitCodeOf(FailureCode::NOT_FOUND), 125);
  capnp::MallocMessageBuilder message;
  auto status = message.initRoot<schema::ExitStatus>();
  status.setCode(3);
  EXPECT_EQ(exitCodeOf(status.asReader()), 3);
  status.setSignal(9);
  EXPECT_EQ(exitCodeOf(status.asReader()), 137);
}

TEST(ExitCodes, TheReasonIsTold) {
  capnp::MallocMessageBuilder message;
  auto status = message.initRoot<schema::ExitStatus>();
  status.setSignal(9);
  auto told = [&]() {
    testing::internal::CaptureStderr();
    exitCodeOf(status.asReader());
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(told(), "");
  status.setReason("killed for \x1b[2Jfun");
  EXPECT_EQ(told(), "bulkhead: the process was killed for \\x1b[2Jfun\n");
  status.setReason("killed for want of memory");
  status.setOutOfMemory(true);
  EXPECT_EQ(told(),
            "bulkhead: the process was killed for want of memory\n"
            "hint: give it more with --memory\n");
}

TEST(Environment, ValuesAndOnesOwn) {
  EXPECT_STREQ(KJ_ASSERT_NONNULL(environmentEntry("A=b=c")).cStr(), "A=b=c");
  setenv("CLI_TEST_VALUE", "here", 1);
  EXPECT_STREQ(KJ_ASSERT_NONNULL(environmentEntry("CLI_TEST_VALUE")).cStr(), "CLI_TEST_VALUE=here");
  EXPECT_TRUE(environmentEntry("CLI_TEST_NO_SUCH_VALUE") == nullptr);
}

TEST(Tables, ColumnsLineUpAndControlCharactersShow) {
  Table table({"NAME", "STATE"});
  table.add({"quiet-otter", "running"});
  table.add({"a", "\x1b[2J"});
  EXPECT_STREQ(table.text().cStr(),
               "NAME         STATE\n"
               "quiet-otter  running\n"
               "a            \\x1b[2J\n");
}

TEST(Usage, AZoneIsALineAndItsWorkloadsAreInTheJson) {
  capnp::MallocMessageBuilder message;
  auto metrics = message.initRoot<schema::Metrics>();
  auto zone = metrics.initZone();
  zone.setCpuNanoseconds(1500000000);
  zone.setMemoryBytes(64u << 20);
  zone.setMemoryLimitBytes(256u << 20);
  zone.setProcesses(7);
  zone.initIoPressure().setSomePercent(12.4f);
  auto workload = metrics.initWorkloads(1)[0];
  workload.setId("main");
  workload.initUsage().setOutOfMemoryKills(1);
  auto table = usageTable();
  addUsage(table, "web", metrics.asReader().getZone());
  EXPECT_STREQ(table.text().cStr(),
               "ZONE  CPU TIME  MEMORY    OF         READ  WRITTEN  TASKS  WAITED FOR CPU  MEMORY  "
               "DISK\n"
               "web   1.500 s   64.0 MiB  256.0 MiB  0 B   0 B      7      0%              0%      "
               "12%\n");
  std::string json = metricsJson("web", metrics.asReader()).encode().cStr();
  EXPECT_NE(json.find("\"id\": \"main\""), std::string::npos) << json;
  EXPECT_NE(json.find("\"outOfMemoryKills\": 1"), std::string::npos) << json;
  EXPECT_NE(json.find("\"somePercent\": 12.4,"), std::string::npos) << json;
}

TEST(Usage, ProcessesAreSortedAndTheirNamesHarmless) {
  capnp::MallocMessageBuilder message;
  auto list = message.initRoot<schema::ZoneAgent::ProcessesResults>().initProcesses(2);
  list[0].setPid(1);
  list[0].setName("init");
  list[1].setPid(9);
  list[1].setParent(1);
  list[1].setName("\x1b[2J");
  list[1].setCpuNanoseconds(2000000000);
  list[1].setWorkload("main");
  EXPECT_STREQ(processesText(list.asReader(), 3).cStr(),
               "PID  PARENT  USER  CPU TIME  MEMORY  WORKLOAD  NAME\n"
               "9    1       0     2.000 s   0 B     main      \\x1b[2J\n"
               "1    0       0     0.0 us    0 B     -         init\n"
               "and 3 more\n");
}

TEST(Texts, SizesDurationsAges) {
  EXPECT_STREQ(sizeText(512).cStr(), "512 B");
  EXPECT_STREQ(sizeText(3u << 20).cStr(), "3.0 MiB");
  EXPECT_STREQ(durationText(1500000000).cStr(), "1.500 s");
  EXPECT_STREQ(durationText(2500000).cStr(), "2.5 ms");
  EXPECT_STREQ(ageText(1000000000, 121000000000).cStr(), "2 minutes ago");
  EXPECT_STREQ(ageText(0, 5).cStr(), "-");
}

TEST(Times, OfTheCalendarAndBeforeNow) {
  constexpr uint64_t kSecond = 1'000'000'000;
  constexpr uint64_t kNow = 2'000'000'000 * kSecond;
  auto time = [](kj::StringPtr text) { return timeNanoseconds(text, kNow, "--since"); };
  EXPECT_EQ(time("2001-09-09T01:46:40Z"), 1'000'000'000 * kSecond);
  EXPECT_EQ(time("2001-09-09t01:46:40.25z"), 1'000'000'000 * kSecond + 250'000'000);
  EXPECT_EQ(time("2001-09-09T03:46:40.000000001+02:00"), 1'000'000'000 * kSecond + 1);
  EXPECT_EQ(time("2001-09-08 23:16:40-02:30"), 1'000'000'000 * kSecond);
  EXPECT_EQ(time("45s"), kNow - 45 * kSecond);
  EXPECT_EQ(time("10m"), kNow - 600 * kSecond);
  EXPECT_EQ(time("1h30m"), kNow - 5400 * kSecond);
  EXPECT_EQ(time("2d500ms"), kNow - 172'800 * kSecond - 500'000'000);
  EXPECT_EQ(time("0s"), kNow);
  EXPECT_EQ(time("36000d"), 1u) << "before there was time";
  for (kj::StringPtr bad :
       {"", "10", "m", "1h30", "-5m", "1.5h", "10x", "99999999999s", "2001-09-09",
        "2001-09-09T01:46:40", "2001-02-30T00:00:00Z", "2001-09-09T24:00:00Z",
        "2001-09-09T01:46:40Zx", "1960-01-01T00:00:00Z", "2001-09-09T01:46:40+2"}) {
    EXPECT_THROW(time(bad), kj::Exception) << bad.cStr();
  }
}

TEST(Copy, EndsAreZonesPathsOrAStream) {
  auto end = parseCopyEnd("web:/etc/app");
  EXPECT_EQ(end.kind, CopyEnd::Kind::zone);
  EXPECT_STREQ(end.zone.cStr(), "web");
  EXPECT_STREQ(end.path.cStr(), "/etc/app");
  EXPECT_STREQ(parseCopyEnd("web:etc/a:b").path.cStr(), "/etc/a:b");
  EXPECT_EQ(parseCopyEnd("-").kind, CopyEnd::Kind::stream);
  for (kj::StringPtr local : {"conf", "./a:b", "/a:b", "..", "."}) {
    EXPECT_EQ(parseCopyEnd(local).kind, CopyEnd::Kind::local) << local.cStr();
  }
  for (kj::StringPtr bad : {"web:", ":/etc", ""}) {
    EXPECT_THROW(parseCopyEnd(bad), kj::Exception) << bad.cStr();
  }
}

TEST(Copy, WhereThingsGo) {
  using Kind = TopEntry::Kind;
  auto expect = [](CopyTarget target, const char* directory, const char* name, Kind kind) {
    EXPECT_STREQ(target.directory.cStr(), directory);
    EXPECT_STREQ(target.name.cStr(), name);
    EXPECT_EQ(target.kind, kind);
  };
  expect(copyTarget("conf", "/etc/app", PathKind::directory), "/etc/app", "conf", Kind::any);
  expect(copyTarget(".", "/etc/app/", PathKind::directory), "/etc/app/", ".", Kind::any);
  expect(copyTarget("conf", "/etc/app", PathKind::missing), "/etc", "app", Kind::any);
  expect(copyTarget(".", "/app", PathKind::missing), "/", "app", Kind::any);
  expect(copyTarget("conf", "logs", PathKind::missing), ".", "logs", Kind::any);
  expect(copyTarget("conf", "/etc/app/", PathKind::missing), "/etc", "app", Kind::directory);
  expect(copyTarget("conf", "/etc/app/.", PathKind::missing), "/etc", "app", Kind::directory);
  expect(copyTarget("conf", "a/file", PathKind::file), "a", "file", Kind::noDirectory);
}

TEST(Copy, TheUnpackerWritesBelowItsDirectoryOnly) {
  if (!landlock::Ruleset(landlock::Tcp::refused).supported()) GTEST_SKIP() << "no Landlock here";
  char path[] = "/tmp/bulkhead-cli-XXXXXX";
  ASSERT_NE(mkdtemp(path), nullptr);
  auto outside = kj::str(static_cast<const char*>(path)), inside = kj::str(outside, "/inside");
  ASSERT_EQ(mkdir(inside.cStr(), 0700), 0);
  pid_t child = fork();
  if (child == 0) {
    confineTo(inside);
    auto makes = [](kj::StringPtr directory) {
      return open(kj::str(directory, "/file").cStr(), O_CREAT | O_WRONLY, 0600) >= 0 &&
             symlink("x", kj::str(directory, "/link").cStr()) == 0;
    };
    _exit(makes(inside) && !makes(outside) ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(system(kj::str("rm -r ", outside).cStr()), 0);
}

TEST(JsonText, KeepsTextSafeAndTimesReadable) {
  auto json = Json::object();
  json.set("text", kj::StringPtr("a\"b\n"));
  json.set("number", uint64_t{42});
  json.set("none", Json::null());
  json.set("time", timeOf(1000000000123456789));
  auto text = json.encode();
  EXPECT_NE(std::string(text.cStr()).find("\"a\\\"b\\n\""), std::string::npos) << text.cStr();
  EXPECT_NE(std::string(text.cStr()).find("42"), std::string::npos);
  EXPECT_NE(std::string(text.cStr()).find("2001-09-09T01:46:40.123456789Z"), std::string::npos);
}

class Reports {
 public:
  ProgressLines lines;
  kj::TimePoint now = kj::origin<kj::TimePoint>() + 1 * kj::HOURS;

  kj::String show(kj::StringPtr phase, kj::StringPtr subject, uint64_t done, uint64_t total) {
    capnp::MallocMessageBuilder message;
    auto progress = message.initRoot<schema::Progress>();
    progress.setPhase(phase);
    progress.setSubject(subject);
    progress.setDone(done);
    progress.setTotal(total);
    return kj::strArray(lines.update(progress, now), "|");
  }
  kj::String screen(size_t columns = 120, size_t rows = 20) {
    return kj::strArray(lines.lines(columns, rows), "|");
  }
};

constexpr kj::StringPtr kFirst =
    "sha256:0123456789ab0000000000000000000000000000000000000000000000000000"_kj;
constexpr kj::StringPtr kSecond =
    "sha256:fedcba9876540000000000000000000000000000000000000000000000000000"_kj;

TEST(Progress, ALineForEachLayerWithShareAndSpeed) {
  Reports reports;
  EXPECT_STREQ(reports.show("resolve", "debian:13", 0, 0).cStr(), "resolve debian:13");
  reports.show("fetch", kFirst, 0, 4u << 20);
  reports.show("fetch", kSecond, 0, 2u << 20);
  reports.now += 2 * kj::SECONDS;
  EXPECT_STREQ(reports.show("fetch", kFirst, 1u << 20, 4u << 20).cStr(), "");
  EXPECT_STREQ(reports.show("fetch", kSecond, 2u << 20, 2u << 20).cStr(),
               "fetched sha256:fedcba987654  2.0 MiB");
  EXPECT_STREQ(reports.screen().cStr(),
               "sha256:0123456789ab [======                  ]  25%  1.0 MiB / 4.0 MiB  "
               "512.0 KiB/s|"
               "sha256:fedcba987654 [========================] 100%  2.0 MiB|"
               "resolve debian:13");
  // What is lost on the way is made up for when the next step begins.
  EXPECT_STREQ(reports.show("pack", "debian:13", 1, 4).cStr(),
               "pack debian:13|fetched sha256:0123456789ab  4.0 MiB");
  EXPECT_STREQ(reports.screen().cStr(),
               "sha256:0123456789ab [========================] 100%  4.0 MiB|"
               "sha256:fedcba987654 [========================] 100%  2.0 MiB|"
               "pack [======                  ]  25%  debian:13");
}

TEST(Progress, ASmallTerminalShowsWhatIsUnderWay) {
  Reports reports;
  reports.show("fetch", kFirst, 10, 10);
  reports.show("fetch", kSecond, 1, 10);
  EXPECT_STREQ(reports.screen(30, 1).cStr(), "sha256:fedcba987654 [==       ");
}

TEST(Progress, ControlCharactersDoNotReachTheTerminal) {
  Reports reports;
  EXPECT_STREQ(reports.show("fetch", "\x1b[2J", 1, 1).cStr(), "fetched \\x1b[2J  1 B");
  EXPECT_STREQ(reports.show("\x1b", "\n", 0, 0).cStr(), "\\x1b \\x0a");
}

TEST(History, LayersAndEmptySteps) {
  auto text =
      "{\"history\":[{\"created\":\"2026-01-02T03:04:05Z\",\"created_by\":\"ADD rootfs\"},"
      "{\"created_by\":\"CMD sh\",\"empty_layer\":true,\"comment\":\"c\"},"
      "{\"created_by\":\"RUN x\"}],\"other\":[1]}"_kj;
  auto history = parseHistory(text.asBytes());
  ASSERT_EQ(history.size(), 3u);
  EXPECT_EQ(history[0].layer.orDefault(99), 0u);
  EXPECT_TRUE(history[1].layer == nullptr);
  EXPECT_EQ(history[2].layer.orDefault(99), 1u);
  capnp::MallocMessageBuilder message;
  auto details = message.initRoot<schema::ImageDetails>();
  auto layers = details.initLayers(2);
  layers[0].setSize(2048);
  layers[1].setSize(1);
  EXPECT_STREQ(historyText(history, details.asReader()).cStr(),
               "CREATED               SIZE     BY\n"
               "2026-01-02T03:04:05Z  2.0 KiB  ADD rootfs\n"
               "-                     -        CMD sh  # c\n"
               "-                     1 B      RUN x\n");
  EXPECT_EQ(parseHistory("{}"_kj.asBytes()).size(), 0u);
  EXPECT_THROW(parseHistory("[]"_kj.asBytes()), kj::Exception);
}

}  // namespace
}  // namespace bulkhead
