// SPDX-License-Identifier: Apache-2.0
#include "tests/xen/guest-files.h"

#include <fstream>
#include <stdexcept>

#include "tests/xen/host.h"

namespace bulkhead::xentest {

void shell(const std::string& script) {
  auto outcome = run({"sh", "-ec", script});
  if (outcome.code != 0) throw std::runtime_error(script + ": " + outcome.err);
}

void extractKernel(const std::string& layout, const std::string& directory) {
  // A blob is a document or the one layer.
  shell(
      "mkdir -p " + directory + " && cd " + directory + " && for blob in " + layout +
      "/blobs/sha256/*; do tar -xzf $blob kernel 2>/dev/null || true; done; test -s kernel/image");
}

void makeBusyboxInitrd(const std::string& directory, const std::string& init) {
  shell("mkdir -p " + directory + "/root/bin && cp /bin/busybox " + directory +
        "/root/bin/busybox");
  std::ofstream(directory + "/root/init") << init;
  shell("cd " + directory +
        " && chmod +x root/init"
        " && (cd root && find . | busybox cpio -o -H newc 2>/dev/null) > busybox.cpio"
        " && cat kernel/boot.cpio busybox.cpio > initrd");
}

}  // namespace bulkhead::xentest
