// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/init/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "zoneinit/init/power.h"

namespace bulkhead::init {

void openConsole() {
  if (fcntl(STDERR_FILENO, F_GETFD) >= 0) return;
  int fd = open("/dev/console", O_RDWR | O_NOCTTY);
  if (fd < 0) fd = open("/dev/null", O_RDWR);
  if (fd < 0) return;
  for (int i = 0; i < 3; ++i) {
    if (fd != i) dup2(fd, i);
  }
  if (fd > 2) close(fd);
}

void say(const char* format, ...) {
  char line[512];
  int length = snprintf(line, sizeof line, "zone-init: ");
  va_list arguments;
  va_start(arguments, format);
  length +=
      vsnprintf(line + length, sizeof line - static_cast<size_t>(length) - 1, format, arguments);
  va_end(arguments);
  auto end =
      static_cast<size_t>(length) < sizeof line - 1 ? static_cast<size_t>(length) : sizeof line - 2;
  line[end] = '\n';
  // One write a line, so that lines of others stay whole.
  (void)!write(STDERR_FILENO, line, end + 1);
}

void giveUp(const char* what) {
  say("PANIC: %s: %s", what, strerror(errno));
  endZone(ZoneEnd::powerOff);
}

}  // namespace bulkhead::init
