// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace bulkhead::bench {

// One figure. `ratio` is ours over the peer's where there is a peer: smaller is better.
struct Row {
  std::string name;
  double value;
  std::string unit;
  std::string peer = {};
  std::optional<double> peerValue = {};
};

using Rows = std::vector<Row>;

Rows measureZoneStart();
Rows measureZoneKernel();
Rows measureLayerStart();
Rows measureIdle();

}  // namespace bulkhead::bench
