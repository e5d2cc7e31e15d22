// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/init/settings.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

namespace bulkhead::init {
namespace {

struct Setting {
  const char* path;
  const char* value;
};

constexpr Setting kSettings[] = {
    // What the kernel tells about itself.
    {"/proc/sys/kernel/dmesg_restrict", "1"},
    {"/proc/sys/kernel/kptr_restrict", "2"},
    {"/proc/sys/kernel/unprivileged_bpf_disabled", "1"},
    // Core files would fill the zone's memory.
    {"/proc/sys/kernel/core_pattern", "|/bin/false"},
    // Nothing in a zone loads modules by a helper program.
    {"/proc/sys/kernel/modprobe", ""},
    {"/proc/sys/fs/protected_hardlinks", "1"},
    {"/proc/sys/fs/protected_symlinks", "1"},
    {"/proc/sys/fs/protected_fifos", "1"},
    {"/proc/sys/fs/protected_regular", "1"},
    // Addresses come from dom0, not from the network.
    {"/proc/sys/net/ipv6/conf/all/accept_ra", "0"},
    {"/proc/sys/net/ipv6/conf/default/accept_ra", "0"},
    // The zone's ports and pings are its containers', whatever user they run as.
    {"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"},
    {"/proc/sys/net/ipv4/ping_group_range", "0 2147483647"},
};

bool writeTo(const char* path, const char* value) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool done = write(fd, value, strlen(value) + 1) > 0;
  close(fd);
  return done;
}

}  // namespace

void applySettings() {
  for (auto& setting : kSettings) writeTo(setting.path, setting.value);
}

void protectSelf() { writeTo("/proc/self/oom_score_adj", "-1000"); }

}  // namespace bulkhead::init
