// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/common.capnp.h"

#include <kj/string.h>
#include <kj/time.h>

namespace bulkhead {

// One line on standard error that says what is being done, redrawn in place and gone at the end.
// Draws nothing where standard error is no terminal.
class ProgressDisplay {
 public:
  ProgressDisplay();
  ~ProgressDisplay() noexcept;
  KJ_DISALLOW_COPY_AND_MOVE(ProgressDisplay);

  void show(schema::Progress::Reader progress);
  void clear();

 private:
  bool terminal;
  bool drawn = false;
};

// The line for one report: "layer debian:13 [=====     ] 12.0 / 24.0 MiB".
kj::String progressLine(schema::Progress::Reader progress);

}  // namespace bulkhead
