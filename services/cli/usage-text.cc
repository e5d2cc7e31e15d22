// SPDX-License-Identifier: Apache-2.0
#include "services/cli/usage-text.h"

#include <stdio.h>

#include <algorithm>
#include <cmath>

#include <kj/vector.h>

namespace bulkhead {
namespace {

// As the kernel gave it: with two digits behind the point.
Json percentJson(float percent) {
  return Json::of(std::round(static_cast<double>(percent) * 100) / 100);
}

Json pressureJson(schema::Pressure::Reader pressure) {
  auto json = Json::object();
  json.set("somePercent", percentJson(pressure.getSomePercent()));
  json.set("fullPercent", percentJson(pressure.getFullPercent()));
  json.set("someMicroseconds", pressure.getSomeMicroseconds());
  json.set("fullMicroseconds", pressure.getFullMicroseconds());
  return json;
}

Json usageJson(schema::Usage::Reader usage) {
  auto json = Json::object();
  json.set("cpuNanoseconds", usage.getCpuNanoseconds());
  json.set("cpuUserNanoseconds", usage.getCpuUserNanoseconds());
  json.set("cpuSystemNanoseconds", usage.getCpuSystemNanoseconds());
  json.set("memoryBytes", usage.getMemoryBytes());
  json.set("memoryPeakBytes", usage.getMemoryPeakBytes());
  json.set("memoryLimitBytes", usage.getMemoryLimitBytes());
  json.set("readBytes", usage.getReadBytes());
  json.set("writtenBytes", usage.getWrittenBytes());
  json.set("processes", uint64_t{usage.getProcesses()});
  json.set("outOfMemoryKills", uint64_t{usage.getOutOfMemoryKills()});
  json.set("cpuPressure", pressureJson(usage.getCpuPressure()));
  json.set("memoryPressure", pressureJson(usage.getMemoryPressure()));
  json.set("ioPressure", pressureJson(usage.getIoPressure()));
  return json;
}

kj::String percentText(float percent) {
  char text[32];
  snprintf(text, sizeof text, "%.0f%%", static_cast<double>(percent));
  return kj::str(static_cast<const char*>(text));
}

}  // namespace

Json metricsJson(kj::StringPtr zone, schema::Metrics::Reader metrics) {
  auto json = Json::object();
  json.set("zone", zone);
  json.set("usage", usageJson(metrics.getZone()));
  auto workloads = Json::list();
  for (auto workload : metrics.getWorkloads()) {
    auto entry = Json::object();
    entry.set("id", workload.getId());
    entry.set("usage", usageJson(workload.getUsage()));
    workloads.add(kj::mv(entry));
  }
  json.set("workloads", kj::mv(workloads));
  return json;
}

Json processesJson(capnp::List<schema::ProcessEntry>::Reader processes, uint32_t omitted) {
  auto list = Json::list();
  for (auto process : processes) {
    auto entry = Json::object();
    entry.set("pid", uint64_t{process.getPid()});
    entry.set("parent", uint64_t{process.getParent()});
    entry.set("name", process.getName());
    entry.set("user", uint64_t{process.getUser()});
    entry.set("cpuNanoseconds", process.getCpuNanoseconds());
    entry.set("memoryBytes", process.getMemoryBytes());
    entry.set("workload", process.getWorkload());
    list.add(kj::mv(entry));
  }
  auto json = Json::object();
  json.set("processes", kj::mv(list));
  json.set("omitted", uint64_t{omitted});
  return json;
}

Table usageTable() {
  return Table({"ZONE", "CPU TIME", "MEMORY", "OF", "READ", "WRITTEN", "TASKS", "WAITED FOR CPU",
                "MEMORY", "DISK"});
}

void addUsage(Table& table, kj::StringPtr zone, schema::Usage::Reader usage) {
  table.add({zone, durationText(usage.getCpuNanoseconds()), sizeText(usage.getMemoryBytes()),
             sizeText(usage.getMemoryLimitBytes()), sizeText(usage.getReadBytes()),
             sizeText(usage.getWrittenBytes()), kj::str(usage.getProcesses()),
             percentText(usage.getCpuPressure().getSomePercent()),
             percentText(usage.getMemoryPressure().getSomePercent()),
             percentText(usage.getIoPressure().getSomePercent())});
}

kj::String processesText(capnp::List<schema::ProcessEntry>::Reader processes, uint32_t omitted) {
  kj::Vector<schema::ProcessEntry::Reader> sorted;
  for (auto process : processes) sorted.add(process);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.getCpuNanoseconds() > b.getCpuNanoseconds();
  });
  Table table({"PID", "PARENT", "USER", "CPU TIME", "MEMORY", "WORKLOAD", "NAME"});
  for (auto process : sorted) {
    kj::StringPtr workload = process.getWorkload();
    table.add({kj::str(process.getPid()), kj::str(process.getParent()), kj::str(process.getUser()),
               durationText(process.getCpuNanoseconds()), sizeText(process.getMemoryBytes()),
               workload.size() > 0 ? workload : "-"_kj, process.getName()});
  }
  if (omitted == 0) return table.text();
  return kj::str(table.text(), "and ", omitted, " more\n");
}

}  // namespace bulkhead
