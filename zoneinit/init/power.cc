// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/init/power.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zoneinit/init/console.h"

namespace bulkhead::init {

void endZone(ZoneEnd end) {
  say(end == ZoneEnd::reboot ? "rebooting" : "powering off");
  kill(-1, SIGKILL);
  while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
  sync();
  reboot(end == ZoneEnd::reboot ? RB_AUTOBOOT : RB_POWER_OFF);
  say("the kernel does not end the zone: %s", strerror(errno));
  // PID 1 must not return: the kernel would panic, which says less than the line above.
  for (;;) pause();
}

}  // namespace bulkhead::init
