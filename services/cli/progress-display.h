// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/refcount.h>

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

  // To be given to a call: what is reported is shown, as long as the display is there.
  schema::ProgressSink::Client sink();

  void show(schema::Progress::Reader progress);
  void clear();

 private:
  // A report may be on its way when the display is gone.
  struct Link : public kj::Refcounted {
    kj::Maybe<ProgressDisplay&> display;
  };

  kj::Own<Link> link;
  bool terminal;
  Elsewhere elsewhere;
  bool muted = false;
  ProgressLines model;
  size_t drawn = 0;  // lines on the terminal; the cursor is behind the last one
};

}  // namespace bulkhead
