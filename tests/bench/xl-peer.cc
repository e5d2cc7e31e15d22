// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/xl-peer.h"

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <utility>

#include "tests/xen/guest-files.h"
#include "tests/xen/host.h"

namespace bulkhead::bench {
namespace {

using xentest::run;

constexpr char kMark[] = "PEER-IS-UP";
// What zoned gives every zone (services/zoned/config.h).
constexpr char kOptions[] = "console=hvc0 quiet noreplace-smp xen_blkfront.max_indirect_segments=8";

void must(const std::vector<std::string>& command) {
  auto outcome = run(command);
  if (outcome.code != 0) {
    throw std::runtime_error(command[0] + " " + command[1] + ": " + outcome.err);
  }
}

std::string firstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

void writeConfig(const std::string& path, const PeerGuest& guest) {
  std::ofstream(path) << "name='peer'\ntype='" << guest.type << "'\nmemory=" << guest.memoryMiB
                      << "\nvcpus=1\nkernel='" << guest.kernel << "'\nramdisk='" << guest.initrd
                      << "'\nextra='" << kOptions << "'\n";
  std::ofstream disks(path, std::ios::app);
  disks << "disk=[";
  char letter = 'a';
  for (const auto& disk : guest.disks) {
    disks << "'format=raw,vdev=xvd" << letter++ << ",access=ro,target=" << disk << "',";
  }
  disks << "]\n";
}

}  // namespace

PausedGuest::PausedGuest(const PeerGuest& guest) {
  std::string path = "/root/peer.cfg";
  writeConfig(path, guest);
  double start = millisecondsNow();
  must({"xl", "create", "-p", "-q", path});
  creation = millisecondsNow() - start;
  auto domid = firstLine(run({"xl", "domid", "peer"}).out);
  number = static_cast<unsigned>(std::stoul(domid));
  auto name = firstLine(run({"xenstore-read", "/local/domain/" + domid + "/console/tty"}).out);
  terminal = open(name.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) throw std::runtime_error("cannot open the guest's console " + name);
}

PausedGuest::~PausedGuest() {
  if (terminal < 0) return;
  run({"xl", "destroy", "peer"});
  close(terminal);
}

void PausedGuest::destroy() {
  must({"xl", "destroy", "peer"});
  close(std::exchange(terminal, -1));
}

std::string PausedGuest::readUntil(const std::string& mark) {
  while (seen.find(mark) == std::string::npos) {
    pollfd watched{terminal, POLLIN, 0};
    if (poll(&watched, 1, 120000) <= 0) {
      throw std::runtime_error("the peer's guest is silent; it wrote: " + seen);
    }
    char buffer[512];
    ssize_t n = read(terminal, buffer, sizeof buffer);
    if (n > 0) seen.append(buffer, static_cast<size_t>(n));
  }
  auto end = seen.find(mark) + mark.size();
  auto result = seen.substr(0, end);
  seen.erase(0, end);
  return result;
}

double millisecondsNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

PeerGuest preparePeer(const std::string& directory) {
  xentest::extractKernel(xentest::kZoneKernelLayout, directory);
  xentest::makeBusyboxInitrd(directory, std::string(R"(#!/bin/busybox sh
/bin/busybox mkdir -p /dev /proc
/bin/busybox mount -t devtmpfs none /dev
for m in /modules/boot/*.ko; do /bin/busybox insmod $m; done
echo )") + kMark + " >/dev/hvc0\nexec /bin/busybox sleep 100000\n");
  xentest::shell("dd if=/dev/zero of=" + directory + "/disk bs=1M count=4 2>/dev/null");
  return {directory + "/kernel/image", directory + "/initrd", {directory + "/disk"}, "pv", 256};
}

XlTimes measureXl(const PeerGuest& guest) {
  XlTimes times{};
  PausedGuest paused(guest);
  times.create = paused.createTime();
  double resumed = millisecondsNow();
  must({"xl", "unpause", "peer"});
  times.unpause = millisecondsNow() - resumed;
  paused.readUntil(kMark);
  times.firstByte = times.create + (millisecondsNow() - resumed);
  double start = millisecondsNow();
  paused.destroy();
  times.destroy = millisecondsNow() - start;
  return times;
}

}  // namespace bulkhead::bench
