// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/cli/progress-lines.h"

namespace bulkhead {

// Progress on standard error: on a terminal lines that are redrawn in place and gone at the end;
// elsewhere plain lines, or nothing.
class ProgressDisplay {
 public:
  // What to do where standard error is no terminal.
  enum class Elsewhere { nothing, plainLines };

  explicit ProgressDisplay(Elsewhere elsewhere = Elsewhere::nothing);
  ~ProgressDisplay() noexcept;
  KJ_DISALLOW_COPY_AND_MOVE(ProgressDisplay);

  // Shows nothing from now on.
  void mute() { muted = true; }

  void show(schema::Progress::Reader progress);
  void clear();

 private:
  bool terminal;
  Elsewhere elsewhere;
  bool muted = false;
  ProgressLines model;
  size_t drawn = 0;  // lines on the terminal; the cursor is behind the last one
};

}  // namespace bulkhead
