// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/zone-agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "zoneinit/agent/disk-wait.h"
#include "zoneinit/agent/usage.h"
#include "zoneinit/agent/workload-server.h"
#include "zoneinit/agent/zone-names.h"
#include "zoneinit/runtime/kernel-files.h"
#include "zoneinit/runtime/process-list.h"

namespace bulkhead::zone {
namespace {

constexpr kj::StringPtr kAgentVersion = BULKHEAD_VERSION ""_kj;
constexpr size_t kMostWorkloads = 64;
constexpr size_t kMostProcesses = 4096;
constexpr kj::Duration kDiskDeadline = 15 * kj::SECONDS;

uint64_t bootClock() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

kj::String hostname() {
  utsname names{};
  KJ_SYSCALL(uname(&names));
  return kj::str(names.nodename);
}

}  // namespace

ZoneAgentServer::ZoneAgentServer(RuntimeContext& contextParam, Interfaces& interfacesParam,
                                 Log& logParam)
    : runtime(contextParam),
      interfaces(interfacesParam),
      log(logParam),
      bootNanoseconds(bootClock()),
      files(defaultNameFiles(hostname())) {}

kj::Promise<void> ZoneAgentServer::info(InfoContext context) {
  auto info = context.getResults().getInfo();
  utsname names{};
  KJ_SYSCALL(uname(&names));
  info.setKernelVersion(names.release);
  info.setAgentVersion(kAgentVersion);
  info.setBootNanoseconds(bootNanoseconds);
  auto memory = readKernelFile(AT_FDCWD, "/proc/meminfo");
  info.setMemoryTotalKiB(numberOfLine(memory, "MemTotal:"));
  info.setMemoryAvailableKiB(numberOfLine(memory, "MemAvailable:"));
  return kj::READY_NOW;
}

kj::Promise<void> ZoneAgentServer::configure(ConfigureContext context) {
  auto config = context.getParams().getConfig();
  // All of it is read before any of it is applied.
  auto fresh = makeNameFiles(config);
  if (config.getHostname().size() > 0) checkHostname(config.getHostname());
  auto links = kj::heapArrayBuilder<InterfaceConfig>(config.getInterfaces().size());
  for (auto plan : config.getInterfaces()) links.add(readInterface(plan));

  if (config.getHostname().size() > 0) {
    KJ_SYSCALL(sethostname(config.getHostname().begin(), config.getHostname().size()));
  }
  files = kj::mv(fresh);
  for (auto& entry : entries) entry.value.container->writeNameFiles(files);
  interfaces.configure(links.finish());
  return kj::READY_NOW;
}

kj::Promise<void> ZoneAgentServer::createWorkload(CreateWorkloadContext context) {
  auto spec = readContainerSpec(context.getParams().getSpec());
  co_await whenDiskIsThere(runtime.eventPort, runtime.timer, runtime.paths.devices, spec.rootDisk,
                           kDiskDeadline);
  if (entries.find(spec.id) != nullptr) {
    fail(FailureCode::ALREADY_EXISTS, spec.id, "there is a workload of this id");
  }
  if (entries.size() >= kMostWorkloads) {
    fail(FailureCode::EXHAUSTED, spec.id, kj::str("the zone has ", kMostWorkloads, " workloads"));
  }
  auto id = kj::str(spec.id);
  Neighbours& neighbours = *this;
  auto container = kj::refcounted<Container>(runtime, neighbours, kj::mv(spec), hostname(), files);
  auto server = makeWorkloadServer(kj::addRef(*container), [this](kj::StringPtr gone) {
    log.info("workload destroyed", {field("WORKLOAD", gone)});
    entries.erase(gone);
  });
  log.info("workload created", {field("WORKLOAD", id)});
  entries.insert(kj::mv(id), Entry{kj::mv(container), server});
  context.getResults().setWorkload(kj::mv(server));
}

kj::Maybe<Container&> ZoneAgentServer::findContainer(kj::StringPtr id) {
  return entries.find(id).map([](Entry& entry) -> Container& { return *entry.container; });
}

kj::Promise<void> ZoneAgentServer::workloads(WorkloadsContext context) {
  auto list = context.getResults().initWorkloads(static_cast<uint>(entries.size()));
  uint i = 0;
  for (auto& entry : entries) {
    auto item = list[i++];
    item.setId(entry.key);
    item.setWorkload(entry.value.server);
    switch (entry.value.container->state()) {
      case Container::State::created:
        item.setState(schema::WorkloadEntry::State::CREATED);
        break;
      case Container::State::running:
        item.setState(schema::WorkloadEntry::State::RUNNING);
        break;
      case Container::State::exited:
        item.setState(schema::WorkloadEntry::State::EXITED);
        break;
    }
  }
  return kj::READY_NOW;
}

kj::Promise<void> ZoneAgentServer::metrics(MetricsContext context) {
  auto metrics = context.getResults().initMetrics();
  writeZoneUsage(runtime.paths.cgroups, metrics.initZone());
  auto workloads = metrics.initWorkloads(static_cast<uint>(entries.size()));
  uint i = 0;
  for (auto& entry : entries) {
    auto item = workloads[i++];
    item.setId(entry.key);
    KJ_IF_MAYBE (directory, entry.value.container->cgroupDirectory()) {
      writeUsage(*directory, item.initUsage());
    }
  }
  return kj::READY_NOW;
}

kj::Promise<void> ZoneAgentServer::processes(ProcessesContext context) {
  auto found = listProcesses(kMostProcesses);
  auto results = context.getResults();
  auto list = results.initProcesses(static_cast<uint>(found.processes.size()));
  for (uint i = 0; i < list.size(); ++i) {
    const auto& from = found.processes[i];
    list[i].setPid(from.pid);
    list[i].setParent(from.parent);
    list[i].setName(from.name);
    list[i].setUser(from.user);
    list[i].setCpuNanoseconds(from.cpuNanoseconds);
    list[i].setMemoryBytes(from.memoryBytes);
    list[i].setWorkload(from.workload);
  }
  results.setOmitted(found.omitted);
  return kj::READY_NOW;
}

}  // namespace bulkhead::zone
