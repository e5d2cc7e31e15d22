// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/process-list.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include <kj/debug.h>
#include <kj/io.h>

#include "zoneinit/runtime/kernel-files.h"

namespace bulkhead::zone {
namespace {

constexpr uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD
// Directory of all containers' cgroups.
constexpr std::string_view kWorkloads = "/workloads/";

// The fields behind the name, counted from the state as field 0.
enum StatField : uint8_t { state, parent, flags = 6, userTicks = 11, systemTicks, pages = 21, end };

uint64_t unitOf(int name) { return static_cast<uint64_t>(sysconf(name)); }

}  // namespace

kj::Maybe<ProcessInfo> parseProcessStat(kj::StringPtr line) {
  std::string_view text(line.begin(), line.size());
  // The name may hold anything, brackets and spaces included; nothing behind it does.
  auto open = text.find('(');
  auto close = text.rfind(')');
  if (open == text.npos || close == text.npos || close < open) return nullptr;
  std::array<uint64_t, StatField::end> fields{};
  auto rest = text.substr(close + 1);
  for (auto& field : fields) {
    auto start = rest.find_first_not_of(' ');
    if (start == rest.npos) return nullptr;
    rest.remove_prefix(start);
    field = leadingNumber(rest);
    rest.remove_prefix(std::min(rest.find(' '), rest.size()));
  }
  if ((fields[StatField::flags] & kKernelThread) != 0) return nullptr;
  ProcessInfo info;
  info.pid = static_cast<uint32_t>(leadingNumber(text));
  info.parent = static_cast<uint32_t>(fields[StatField::parent]);
  auto name = text.substr(open + 1, close - open - 1);
  info.name = kj::heapString(name.data(), name.size());
  auto ticks = fields[StatField::userTicks] + fields[StatField::systemTicks];
  info.cpuNanoseconds = ticks * (1'000'000'000 / unitOf(_SC_CLK_TCK));
  info.memoryBytes = fields[StatField::pages] * unitOf(_SC_PAGESIZE);
  return kj::mv(info);
}

kj::String workloadOfCgroup(kj::StringPtr content) {
  std::string_view text(content.begin(), content.size());
  auto at = text.find(kWorkloads);
  if (at == text.npos) return kj::String();
  auto id = text.substr(at + kWorkloads.size());
  id = id.substr(0, id.find_first_of("/\n"));
  return kj::heapString(id.data(), id.size());
}

ProcessList listProcesses(size_t most) {
  ProcessList list;
  DIR* all = opendir("/proc");
  KJ_REQUIRE(all != nullptr, "cannot read /proc");
  KJ_DEFER(closedir(all));
  while (dirent* entry = readdir(all)) {
    kj::StringPtr name = entry->d_name;
    if (isdigit(static_cast<unsigned char>(name[0])) == 0) continue;
    int raw = openat(dirfd(all), name.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (raw < 0) continue;
    kj::AutoCloseFd directory(raw);
    auto line = readKernelFile(directory, "stat");
    auto parsed = parseProcessStat(line);
    KJ_IF_MAYBE (info, parsed) {
      if (list.processes.size() >= most) {
        ++list.omitted;
        continue;
      }
      struct stat status;
      if (fstat(directory, &status) == 0) info->user = status.st_uid;
      auto cgroup = readKernelFile(directory, "cgroup");
      info->workload = workloadOfCgroup(cgroup);
      list.processes.add(kj::mv(*info));
    }
  }
  return list;
}

}  // namespace bulkhead::zone
