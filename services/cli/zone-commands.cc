// SPDX-License-Identifier: Apache-2.0
#include "services/cli/zone-commands.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/io.h>

#include "services/cli/terminal.h"
#include "services/cli/time-text.h"
#include "services/cli/usage-text.h"
#include "services/cli/zone-text.h"
#include "services/runtime/files.h"
#include "services/runtime/pipe.h"

namespace bulkhead {
namespace {

using InfoResponse = capnp::Response<schema::Zone::InfoResults>;
using WaitResponse = capnp::Response<schema::Zone::WaitResults>;
using ListResponse = capnp::Response<schema::Session::ListZonesResults>;
using MetricsResponse = capnp::Response<schema::Zone::MetricsResults>;
using ProcessesResponse = capnp::Response<schema::Zone::ProcessesResults>;

constexpr unsigned kMostGraceSeconds = 24 * 3600;

uint64_t nowNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

schema::Zone::Client find(CommandContext& context, const std::string& zone) {
  return context.client.findZone(kj::StringPtr(zone.c_str(), zone.size()));
}

// Goes on after a failure, and then returns the code of the first.
template <typename Action>
int forEach(const std::vector<std::string>& zones, Action&& action) {
  int code = 0;
  for (const auto& zone : zones) {
    try {
      action(zone);
    } catch (const kj::Exception& exception) {
      printFailure(exception);
      if (code == 0) code = exitCodeOf(failureOf(exception).code);
    }
  }
  return code;
}

// Copies a pipe to standard output until its end.
kj::Promise<void> copyToOutput(kj::Own<kj::AsyncInputStream> input) {
  kj::byte buffer[4096];
  kj::FdOutputStream output(STDOUT_FILENO);
  for (;;) {
    auto count = co_await input->tryRead(buffer, 1, sizeof buffer);
    if (count == 0) co_return;
    output.write(buffer, count);
  }
}

}  // namespace

int listZonesCommand(CommandContext& context, ListDetail detail) {
  auto response =
      context.wait(kj::Promise<ListResponse>(context.client.session().listZonesRequest().send()));
  auto zones = response.getZones();
  if (detail == ListDetail::namesOnly) {
    for (auto zone : zones) context.print(kj::str(printable(zone.getName()), '\n'));
    return 0;
  }
  if (context.format == OutputFormat::json) {
    auto list = Json::list();
    for (auto zone : zones) list.add(zoneJson(zone));
    context.print(list);
    return 0;
  }
  Table table({"NAME", "ID", "STATE", "IMAGE", "ADDRESS", "CREATED"});
  for (auto zone : zones) {
    auto id = idOf(zone);
    auto address = zone.getAddresses().size() > 0 ? kj::StringPtr(zone.getAddresses()[0]) : "-"_kj;
    table.add({zone.getName(), kj::str(id.slice(0, kj::min(id.size(), size_t{8}))), stateText(zone),
               zone.getImage(), address,
               ageText(zone.getCreatedUnixNanoseconds(), nowNanoseconds())});
  }
  context.print(table.text());
  return 0;
}

int zoneInfoCommand(CommandContext& context, const std::string& zone) {
  auto response = context.wait(kj::Promise<InfoResponse>(find(context, zone).infoRequest().send()));
  if (context.format == OutputFormat::json) {
    context.print(zoneJson(response.getInfo()));
  } else {
    context.print(zoneDetails(response.getInfo()));
  }
  return 0;
}

int destroyCommand(CommandContext& context, const std::vector<std::string>& zones) {
  return forEach(zones, [&](const std::string& zone) {
    context.wait(find(context, zone).destroyRequest().send().ignoreResult());
  });
}

int stopCommand(CommandContext& context, const StopOptions& options) {
  if (options.graceSeconds > kMostGraceSeconds) {
    fail(FailureCode::INVALID, "--time", kj::str("is longer than ", kMostGraceSeconds, " seconds"));
  }
  return forEach(options.zones, [&](const std::string& zone) {
    auto request = find(context, zone).stopRequest();
    request.setGraceMilliseconds(options.graceSeconds * 1000);
    context.wait(request.send().ignoreResult());
  });
}

int pauseCommand(CommandContext& context, const std::vector<std::string>& zones) {
  return forEach(zones, [&](const std::string& zone) {
    context.wait(find(context, zone).pauseRequest().send().ignoreResult());
  });
}

int unpauseCommand(CommandContext& context, const std::vector<std::string>& zones) {
  return forEach(zones, [&](const std::string& zone) {
    context.wait(find(context, zone).unpauseRequest().send().ignoreResult());
  });
}

int statsCommand(CommandContext& context, const std::vector<std::string>& named) {
  auto zones = named;
  if (zones.empty()) {
    auto response =
        context.wait(kj::Promise<ListResponse>(context.client.session().listZonesRequest().send()));
    for (auto zone : response.getZones()) {
      if (zone.getState() == schema::ZoneInfo::State::RUNNING) zones.emplace_back(zone.getName());
    }
  }
  auto table = usageTable();
  auto list = Json::list();
  int code = forEach(zones, [&](const std::string& zone) {
    auto response =
        context.wait(kj::Promise<MetricsResponse>(find(context, zone).metricsRequest().send()));
    auto metrics = response.getMetrics();
    addUsage(table, zone.c_str(), metrics.getZone());
    list.add(metricsJson(zone.c_str(), metrics));
  });
  if (context.format == OutputFormat::json) {
    context.print(list);
  } else {
    context.print(table.text());
  }
  return code;
}

int topCommand(CommandContext& context, const std::string& zone) {
  auto response =
      context.wait(kj::Promise<ProcessesResponse>(find(context, zone).processesRequest().send()));
  if (context.format == OutputFormat::json) {
    context.print(processesJson(response.getProcesses(), response.getOmitted()));
  } else {
    context.print(processesText(response.getProcesses(), response.getOmitted()));
  }
  return 0;
}

int waitCommand(CommandContext& context, const std::string& zone) {
  auto response = context.wait(kj::Promise<WaitResponse>(find(context, zone).waitRequest().send()));
  auto info = response.getInfo();
  if (context.format == OutputFormat::json) context.print(zoneJson(info));
  if (info.hasExit()) return exitCodeOf(info.getExit());
  if (info.getError().size() > 0) fail(info.getErrorCode(), "", info.getError());
  fail(FailureCode::CANCELLED, zone.c_str(), "the zone was destroyed");
}

int logsCommand(CommandContext& context, const LogsOptions& options) {
  DescriptorGuard guard;
  auto request = find(context, options.zone).logsRequest();
  auto wanted = request.initOptions();
  wanted.setFollow(options.follow);
  wanted.setTailLines(options.tail);
  wanted.setTimestamps(options.timestamps);
  auto now = nowNanoseconds();
  if (!options.since.empty()) {
    wanted.setSinceUnixNanoseconds(timeNanoseconds(options.since.c_str(), now, "--since"));
  }
  if (!options.until.empty()) {
    wanted.setUntilUnixNanoseconds(timeNanoseconds(options.until.c_str(), now, "--until"));
  }
  auto stdio = request.initStdio();
  stdio.setStdout(shareFd(STDOUT_FILENO));
  stdio.setStderr(shareFd(STDERR_FILENO));
  context.wait(request.send().ignoreResult());
  return 0;
}

int consoleCommand(CommandContext& context, const std::string& zone, ConsoleReach reach) {
  auto pipe = makePipe();
  auto input = context.io.lowLevelProvider->wrapInputFd(
      kj::mv(pipe.read), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
  auto request = find(context, zone).consoleRequest();
  request.setMode(reach == ConsoleReach::follow ? schema::ConsoleMode::FOLLOW
                                                : schema::ConsoleMode::HISTORY);
  request.setOutput(makeFile(kj::mv(pipe.write)));
  auto copying = copyToOutput(kj::mv(input)).eagerlyEvaluate(nullptr);
  {
    auto call = request.send().ignoreResult();
    context.wait(kj::mv(call));
  }
  context.wait(kj::mv(copying));
  return 0;
}

}  // namespace bulkhead
