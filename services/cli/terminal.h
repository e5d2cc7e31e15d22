// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/common.h>
#include <termios.h>

#include "schemas/agent.capnp.h"

namespace bulkhead {

// Remembers how the standard descriptors are set and puts them back at the end, however the
// command ends: whoever they are shared with may make them non-blocking.
class DescriptorGuard {
 public:
  DescriptorGuard();
  ~DescriptorGuard() noexcept;
  KJ_DISALLOW_COPY_AND_MOVE(DescriptorGuard);

 private:
  int flags[3];
};

// Turns the terminal on standard input raw, so that every key goes to the process in the zone, and
// turns it back at the end. Does nothing where standard input is no terminal.
class RawTerminal {
 public:
  RawTerminal();
  ~RawTerminal() noexcept;
  KJ_DISALLOW_COPY_AND_MOVE(RawTerminal);

 private:
  kj::Maybe<termios> before;
};

// The size of the terminal on standard output; 24 by 80 where it does not say.
void fillTerminalSize(schema::TerminalSize::Builder size);

}  // namespace bulkhead
