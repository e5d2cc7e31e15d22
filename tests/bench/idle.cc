// SPDX-License-Identifier: Apache-2.0
// What the daemons cost when nothing happens.

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

constexpr auto kWatched = std::chrono::seconds(20);

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
  std::vector<double> before;
  for (auto* process : processes) {
    pids.push_back(pidOf(process));
    before.push_back(cpuTicks(pids.back()));
  }
  // Nothing to wait for: the passing of time is what is measured.
  std::this_thread::sleep_for(kWatched);
  Rows rows;
  double hertz = static_cast<double>(sysconf(_SC_CLK_TCK));
  for (size_t i = 0; i < pids.size(); ++i) {
    double seconds = (cpuTicks(pids[i]) - before[i]) / hertz;
    double share = seconds / static_cast<double>(kWatched.count()) * 100;
    rows.push_back({std::string(processes[i]) + " CPU while idle", share, "%"});
    rows.push_back(
        {std::string(processes[i]) + " private memory", privateKiB(pids[i]) / 1024, "MiB"});
  }
  return rows;
}

}  // namespace bulkhead::bench
