// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace bulkhead::bench {

// What `xl` needs for the same guest, in milliseconds of the monotonic clock.
struct XlTimes {
  double create;     // xl create -p, from its start to its end
  double unpause;    // xl unpause, from its start to its end
  double firstByte;  // from the start of xl create to the first byte of the guest's own output
  double destroy;    // xl destroy
};

// The guest both sides start.
struct PeerGuest {
  std::string kernel;              // path
  std::string initrd;              // path
  std::vector<std::string> disks;  // paths of raw images, at most 26
  const char* type;                // "pv" or "pvh"
  unsigned memoryMiB;
};

// Creates, starts and destroys it once with xl. Throws std::runtime_error naming the step.
XlTimes measureXl(const PeerGuest& guest);

// Extracts the zone kernel from the installed image and makes an initrd of busybox that prints one
// line: what the peer boots. Files go below `directory`.
PeerGuest preparePeer(const std::string& directory);

// A guest that xl made and left paused; destroyed with this object.
class PausedGuest {
 public:
  explicit PausedGuest(const PeerGuest& guest);
  ~PausedGuest();

  // Destroys it now. Throws when that fails.
  void destroy();
  PausedGuest(const PausedGuest&) = delete;

  unsigned domid() const { return number; }
  double createTime() const { return creation; }  // of `xl create -p`, milliseconds

  // What the guest wrote to its console up to and with `mark`. Throws when it is silent for two
  // minutes.
  std::string readUntil(const std::string& mark);

 private:
  unsigned number = 0;
  double creation = 0;
  int terminal = -1;
  std::string seen;
};

double millisecondsNow();

}  // namespace bulkhead::bench
