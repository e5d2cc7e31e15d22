// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>
#include <kj/time.h>
#include <kj/vector.h>
#include <sys/types.h>

namespace bulkhead {

// /etc/bulkhead/zoned.toml. Every value has a default; an unknown key is an error, since a
// misspelt limit would otherwise silently not hold.
struct ZonedConfig {
  kj::String kernelImage = kj::str("oci:/usr/lib/bulkhead/images/zone-kernel");
  kj::String systemImage = kj::str("oci:/usr/lib/bulkhead/images/zone-system");

  // Added to the system image; none by default.
  kj::Vector<kj::String> extensionImages;

  // In front of every zone's own kernel options. A zone's kernel does without patching its lock
  // prefixes at boot, which costs more than it gains.
  // A disk's front end keeps pages for its largest request as often as its ring is long: 4 MiB of
  // every zone by the driver's default of 32 segments, 1 MiB by 8.
  kj::String kernelOptions =
      kj::str("console=hvc0 quiet noreplace-smp xen_blkfront.max_indirect_segments=8");

  uint32_t memoryMiB = 256;
  uint16_t vcpus = 1;

  // From the first instruction to the agent's ring; generous, since hosts may be emulated.
  kj::Duration bootDeadline = 120 * kj::SECONDS;

  uint zonesPerUser = 64;
};

// The directory of the configuration files: $CONFIGURATION_DIRECTORY as systemd sets it, else
// /etc/bulkhead.
kj::String configurationDirectory();

// Reads the file; the defaults when there is none. Fails with `invalid`, naming file and key.
ZonedConfig loadZonedConfig(kj::StringPtr path);

// The same, for text that is already here; `path` is for error messages only.
ZonedConfig parseZonedConfig(kj::StringPtr text, kj::StringPtr path);

}  // namespace bulkhead
