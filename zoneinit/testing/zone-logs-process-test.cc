// SPDX-License-Identifier: Apache-2.0
#include <regex>
#include <string>

#include "zoneinit/runtime/wall-clock.h"
#include "zoneinit/testing/agent-fixture.h"

namespace bulkhead::zone {
namespace {

using Options = schema::LogOptions::Builder;

std::string logs(kj::WaitScope& ws, schema::Workload::Client workload,
                 kj::Function<void(Options)> fill) {
  auto output = kj::refcounted<Collected>();
  auto request = workload.logsRequest();
  fill(request.initOptions());
  request.setStdout(collectInto(*output));
  request.send().wait(ws);
  EXPECT_TRUE(output->ended);
  return output->text().cStr();
}

TEST_F(ZoneAgentTest, CutsAndStampsLogsByTime) {
  auto workload = client.create(
      words({"sh", "-c", "echo early; read x; echo late; printf on; read y; echo ward; read z"}));
  auto main = client.start(workload, TestInput::piped);
  auto input = main.process.stdinRequest().send().wait(ws).getStream();
  auto type = [&]() {
    auto request = input.writeRequest();
    request.setBytes("\n"_kj.asBytes());
    request.send().wait(ws);
  };
  client.waitFor(*main.output, "early\n");
  auto between = unixNanoseconds();
  type();
  client.waitFor(*main.output, "on");
  type();
  client.waitFor(*main.output, "ward\n");

  EXPECT_EQ(logs(ws, workload, [&](Options o) { o.setSinceUnixNanoseconds(between); }),
            "late\nonward\n");
  EXPECT_EQ(logs(ws, workload, [&](Options o) { o.setUntilUnixNanoseconds(between); }), "early\n");
  auto stamped = logs(ws, workload, [&](Options o) { o.setTimestamps(true); });
  std::string stamp = "20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[.][0-9]{9}Z ";
  EXPECT_TRUE(std::regex_match(
      stamped, std::regex(stamp + "early\n" + stamp + "late\n" + stamp + "onward\n")))
      << stamped;

  // Following ends at its time though the container runs on.
  EXPECT_EQ(logs(ws, workload,
                 [&](Options o) {
                   o.setFollow(true);
                   o.setSinceUnixNanoseconds(between);
                   o.setUntilUnixNanoseconds(unixNanoseconds() + 200'000'000);
                 }),
            "late\nonward\n");
  type();
  client.finish(main);
  workload.destroyRequest().send().wait(ws);
}

}  // namespace
}  // namespace bulkhead::zone
