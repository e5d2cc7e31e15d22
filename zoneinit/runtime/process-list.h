// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/common.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace bulkhead::zone {

struct ProcessInfo {
  uint32_t pid = 0;
  uint32_t parent = 0;
  uint32_t user = 0;
  kj::String name;  // as it calls itself: any bytes
  uint64_t cpuNanoseconds = 0;
  uint64_t memoryBytes = 0;  // resident
  kj::String workload;       // empty: in no container
};

struct ProcessList {
  kj::Vector<ProcessInfo> processes;
  uint32_t omitted = 0;  // beyond the bound
};

// What runs in the zone, kernel threads left out. What ends meanwhile may be missing.
ProcessList listProcesses(size_t most);

// One line of /proc/PID/stat (Linux, proc_pid_stat(5)); none for a kernel thread and for what is
// no such line. User and workload are not in it.
kj::Maybe<ProcessInfo> parseProcessStat(kj::StringPtr line);

// The container in a file /proc/PID/cgroup; empty for none.
kj::String workloadOfCgroup(kj::StringPtr content);

}  // namespace bulkhead::zone
