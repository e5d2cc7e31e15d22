// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "zoneinit/runtime/process.h"

#include <array>

namespace bulkhead::zone {

enum class InputMode { closed, piped };

// Both ends of a new process's standard streams: the parent's, and the three the child takes.
struct StandardStreams {
  ProcessStreams parent;
  std::array<kj::AutoCloseFd, 3> child;

  // Pipes; input is empty (/dev/null) unless the mode says piped.
  static StandardStreams pipes(InputMode input);

  // A new pseudo-terminal of the given devpts instance, with that size.
  static StandardStreams terminal(int pseudoTerminals, TerminalSize size);
};

}  // namespace bulkhead::zone
