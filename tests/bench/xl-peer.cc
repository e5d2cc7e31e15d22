// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/xl-peer.h"

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "tests/xen/host.h"

namespace bulkhead::bench {
namespace {

using xentest::run;

constexpr char kMark[] = "PEER-IS-UP";

void must(const std::vector<std::string>& command) {
  auto outcome = run(command);
  if (outcome.code != 0) {
    throw std::runtime_error(command[0] + " " + command[1] + ": " + outcome.err);
  }
}

void shell(const std::string& script) { must({"sh", "-ec", script}); }

// Reads a terminal until the mark has come.
void awaitMark(const std::string& terminal) {
  int fd = open(terminal.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) throw std::runtime_error("cannot open " + terminal);
  std::string seen;
  while (seen.find(kMark) == std::string::npos) {
    pollfd watched{fd, POLLIN, 0};
    if (poll(&watched, 1, 120000) <= 0) throw std::runtime_error("the peer's guest is silent");
    char buffer[512];
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0) seen.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
}

std::string firstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

double millisecondsNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

PeerGuest preparePeer(const std::string& directory) {
  shell(
      "mkdir -p " + directory + "/root/bin && cd " + directory +
      " && for blob in /usr/lib/bulkhead/images/zone-kernel/blobs/sha256/*; do"
      "   tar -xzf $blob ./kernel kernel 2>/dev/null || tar -xzf $blob kernel 2>/dev/null || true;"
      " done; test -s kernel/image"
      " && cp /bin/busybox root/bin/busybox"
      " && printf '#!/bin/busybox sh\\n/bin/busybox mkdir /dev /proc\\n"
      "/bin/busybox mount -t devtmpfs none /dev\\nfor m in /modules/boot/*; do /bin/busybox insmod "
      "$m; done\\n"
      "echo " +
      std::string(kMark) +
      " >/dev/hvc0\\nexec /bin/busybox sleep 100000\\n' > root/init"
      " && chmod +x root/init"
      " && (cd root && find . | busybox cpio -o -H newc 2>/dev/null) > busybox.cpio"
      " && cat kernel/boot.cpio busybox.cpio > initrd"
      " && dd if=/dev/zero of=disk bs=1M count=4 2>/dev/null");
  return {directory + "/kernel/image", directory + "/initrd", directory + "/disk", "pv", 256};
}

XlTimes measureXl(const PeerGuest& guest) {
  std::string path = "/root/peer.cfg";
  std::ofstream(path)
      << "name='peer'\ntype='" << guest.type << "'\nmemory=" << guest.memoryMiB
      << "\nvcpus=1\nkernel='" << guest.kernel << "'\nramdisk='" << guest.initrd
      << "'\nextra='console=hvc0 quiet'\ndisk=['format=raw,vdev=xvda,access=ro,target="
      << guest.disk << "']\n";
  XlTimes times{};
  double start = millisecondsNow();
  must({"xl", "create", "-p", "-q", path});
  times.create = millisecondsNow() - start;
  auto domid = firstLine(run({"xl", "domid", "peer"}).out);
  auto terminal = firstLine(run({"xenstore-read", "/local/domain/" + domid + "/console/tty"}).out);
  double resumed = millisecondsNow();
  must({"xl", "unpause", "peer"});
  times.unpause = millisecondsNow() - resumed;
  awaitMark(terminal);
  times.firstByte = times.create + (millisecondsNow() - resumed);
  start = millisecondsNow();
  must({"xl", "destroy", "peer"});
  times.destroy = millisecondsNow() - start;
  return times;
}

}  // namespace bulkhead::bench
