// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/usage.h"

#include <fcntl.h>

#include <kj/io.h>

#include "zoneinit/runtime/kernel-files.h"

namespace bulkhead::zone {
namespace {

// Where the files of one kind lie, and how they are called there.
struct PressureFiles {
  int directory;
  kj::StringPtr cpu;
  kj::StringPtr memory;
  kj::StringPtr io;
};

// Of a file that is one number; 0 for "max" and for a file that is not there.
uint64_t numberIn(int directory, kj::StringPtr name) {
  return leadingNumber(readKernelFile(directory, name).cStr());
}

uint64_t wholeNumber(std::string_view line, std::string_view field) {
  return static_cast<uint64_t>(numberOfField(line, field));
}

void writePressure(int directory, kj::StringPtr name, schema::Pressure::Builder out) {
  eachLine(readKernelFile(directory, name), [&](std::string_view line) {
    auto percent = static_cast<float>(numberOfField(line, "avg10"));
    auto total = wholeNumber(line, "total");
    if (line.starts_with("some ")) {
      out.setSomePercent(percent);
      out.setSomeMicroseconds(total);
    } else if (line.starts_with("full ")) {
      out.setFullPercent(percent);
      out.setFullMicroseconds(total);
    }
  });
}

void writePressures(const PressureFiles& files, schema::Usage::Builder out) {
  writePressure(files.directory, files.cpu, out.initCpuPressure());
  writePressure(files.directory, files.memory, out.initMemoryPressure());
  writePressure(files.directory, files.io, out.initIoPressure());
}

// What the whole zone's cgroup and a container's have in common.
void writeProcessorAndDisks(int cgroup, schema::Usage::Builder out) {
  auto cpu = readKernelFile(cgroup, "cpu.stat");
  out.setCpuNanoseconds(numberOfLine(cpu, "usage_usec") * 1000);
  out.setCpuUserNanoseconds(numberOfLine(cpu, "user_usec") * 1000);
  out.setCpuSystemNanoseconds(numberOfLine(cpu, "system_usec") * 1000);
  uint64_t read = 0;
  uint64_t written = 0;
  eachLine(readKernelFile(cgroup, "io.stat"), [&](std::string_view line) {
    read += wholeNumber(line, "rbytes");
    written += wholeNumber(line, "wbytes");
  });
  out.setReadBytes(read);
  out.setWrittenBytes(written);
}

}  // namespace

void writeUsage(int cgroup, schema::Usage::Builder out) {
  writeProcessorAndDisks(cgroup, out);
  out.setMemoryBytes(numberIn(cgroup, "memory.current"));
  out.setMemoryPeakBytes(numberIn(cgroup, "memory.peak"));
  out.setMemoryLimitBytes(numberIn(cgroup, "memory.max"));
  out.setProcesses(static_cast<uint32_t>(numberIn(cgroup, "pids.current")));
  out.setOutOfMemoryKills(
      static_cast<uint32_t>(numberOfLine(readKernelFile(cgroup, "memory.events"), "oom_kill")));
  writePressures({cgroup, "cpu.pressure", "memory.pressure", "io.pressure"}, out);
}

void writeZoneUsage(kj::StringPtr cgroups, schema::Usage::Builder out) {
  int raw = open(cgroups.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (raw >= 0) writeProcessorAndDisks(kj::AutoCloseFd(raw), out);
  auto memory = readKernelFile(AT_FDCWD, "/proc/meminfo");
  auto total = numberOfLine(memory, "MemTotal:");
  auto available = numberOfLine(memory, "MemAvailable:");
  out.setMemoryBytes((total > available ? total - available : 0) * 1024);
  out.setMemoryLimitBytes(total * 1024);
  // "0.00 0.01 0.05 1/123 456": of 123 tasks one runs now.
  auto load = readKernelFile(AT_FDCWD, "/proc/loadavg");
  KJ_IF_MAYBE (slash, load.findFirst('/')) {
    out.setProcesses(static_cast<uint32_t>(leadingNumber(load.slice(*slash + 1).cStr())));
  }
  out.setOutOfMemoryKills(
      static_cast<uint32_t>(numberOfLine(readKernelFile(AT_FDCWD, "/proc/vmstat"), "oom_kill")));
  writePressures({AT_FDCWD, "/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io"},
                 out);
}

}  // namespace bulkhead::zone
