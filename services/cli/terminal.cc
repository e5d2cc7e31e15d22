// SPDX-License-Identifier: Apache-2.0
#include "services/cli/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace bulkhead {

DescriptorGuard::DescriptorGuard() {
  int fd = 0;
  for (int& each : flags) each = fcntl(fd++, F_GETFL);
}

DescriptorGuard::~DescriptorGuard() noexcept {
  int fd = 0;
  for (int each : flags) {
    if (each >= 0) fcntl(fd, F_SETFL, each);
    ++fd;
  }
}

RawTerminal::RawTerminal() {
  termios settings{};
  if (tcgetattr(STDIN_FILENO, &settings) != 0) return;
  before = settings;
  cfmakeraw(&settings);
  tcsetattr(STDIN_FILENO, TCSADRAIN, &settings);
}

RawTerminal::~RawTerminal() noexcept {
  KJ_IF_MAYBE (settings, before) {
    tcsetattr(STDIN_FILENO, TCSADRAIN, settings);
  }
}

void fillTerminalSize(schema::TerminalSize::Builder size) {
  winsize window{};
  bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 0;
  size.setRows(known ? window.ws_row : 24);
  size.setColumns(known ? window.ws_col : 80);
}

}  // namespace bulkhead
