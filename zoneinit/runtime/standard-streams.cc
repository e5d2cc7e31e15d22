// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/standard-streams.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/files.h"
#include "services/runtime/pipe.h"

namespace bulkhead::zone {
StandardStreams StandardStreams::pipes(InputMode input) {
  StandardStreams streams;
  if (input == InputMode::piped) {
    auto pipe = makePipe();
    streams.child[0] = kj::mv(pipe.read);
    streams.parent.input = kj::mv(pipe.write);
  } else {
    int null;
    KJ_SYSCALL(null = open("/dev/null", O_RDONLY | O_CLOEXEC));
    streams.child[0] = kj::AutoCloseFd(null);
  }
  auto output = makePipe();
  streams.child[1] = kj::mv(output.write);
  streams.parent.output = kj::mv(output.read);
  auto error = makePipe();
  streams.child[2] = kj::mv(error.write);
  streams.parent.error = kj::mv(error.read);
  return streams;
}

StandardStreams StandardStreams::terminal(int pseudoTerminals, TerminalSize size) {
  StandardStreams streams;
  int raw;
  KJ_SYSCALL(raw = openat(pseudoTerminals, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  kj::AutoCloseFd master(raw);
  int unlocked = 0;
  KJ_SYSCALL(ioctl(master, TIOCSPTLCK, &unlocked));
  // By the master itself, not by a name that the container could have put something else under.
  KJ_SYSCALL(raw = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  streams.child[0] = kj::AutoCloseFd(raw);
  streams.child[1] = duplicate(raw);
  streams.child[2] = duplicate(raw);
  winsize window{};
  window.ws_row = size.rows;
  window.ws_col = size.columns;
  KJ_SYSCALL(ioctl(master, TIOCSWINSZ, &window));
  streams.parent.terminal = kj::mv(master);
  return streams;
}

}  // namespace bulkhead::zone
