// SPDX-License-Identifier: Apache-2.0
// What the daemons cost when nothing happens. The service manager is told once a minute that a
// daemon lives: that wake-up is meant.

#include <unistd.h>

#include <chrono>
#include <sstream>
#include <thread>

#include "tests/bench/rows.h"
#include "tests/xen/host.h"

namespace bulkhead::bench {
namespace {

using xentest::readFile;
using xentest::run;

// A host that was just restored still has to come to rest.
constexpr auto kSettling = std::chrono::seconds(10);
constexpr auto kWatched = std::chrono::seconds(60);

std::string pidOf(const char* process) {
  auto found = run({"pgrep", "-o", "-f", std::string("^/usr/lib/bulkhead/") + process + "$"}).out;
  return found.substr(0, found.find('\n'));
}

// User and system time, in clock ticks: fields 14 and 15 of proc_pid_stat(5).
double cpuTicks(const std::string& pid) {
  auto text = readFile("/proc/" + pid + "/stat");
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return user + system;
}

// How often it went to sleep, which is how often something woke it.
double wakeUps(const std::string& pid) {
  std::istringstream status(readFile("/proc/" + pid + "/status"));
  std::string key = "voluntary_ctxt_switches:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::stod(line.substr(key.size()));
  }
  return 0;
}

double privateKiB(const std::string& pid) {
  std::istringstream rollup(readFile("/proc/" + pid + "/smaps_rollup"));
  double sum = 0;
  for (std::string line; std::getline(rollup, line);) {
    if (line.starts_with("Private_")) sum += std::stod(line.substr(line.find(':') + 1));
  }
  return sum;
}

}  // namespace

Rows measureIdle() {
  const char* processes[] = {"zoned", "hvd", "imaged", "netd", "netd-agent", "idmd"};
  std::vector<std::string> pids;
  std::vector<double> before, wokenBefore;
  std::this_thread::sleep_for(kSettling);
  for (auto* process : processes) {
    pids.push_back(pidOf(process));
    before.push_back(cpuTicks(pids.back()));
    wokenBefore.push_back(wakeUps(pids.back()));
  }
  // Nothing to wait for: the passing of time is what is measured.
  std::this_thread::sleep_for(kWatched);
  Rows rows;
  double hertz = static_cast<double>(sysconf(_SC_CLK_TCK));
  for (size_t i = 0; i < pids.size(); ++i) {
    double seconds = (cpuTicks(pids[i]) - before[i]) / hertz;
    double share = seconds / static_cast<double>(kWatched.count()) * 100;
    rows.push_back({std::string(processes[i]) + " CPU while idle", share, "%"});
    rows.push_back({std::string(processes[i]) + " wake-ups in a minute",
                    wakeUps(pids[i]) - wokenBefore[i], ""});
    rows.push_back(
        {std::string(processes[i]) + " private memory", privateKiB(pids[i]) / 1024, "MiB"});
  }
  return rows;
}

}  // namespace bulkhead::bench
