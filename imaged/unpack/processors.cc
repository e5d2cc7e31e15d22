// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/processors.h"

#include <sched.h>

#include <kj/common.h>

namespace bulkhead {

uint processors(uint most) {
  cpu_set_t set;
  // More processors than the set has room for are more than anybody asks for.
  if (sched_getaffinity(0, sizeof set, &set) != 0) return most;
  return kj::max(1u, kj::min(static_cast<uint>(CPU_COUNT(&set)), most));
}

}  // namespace bulkhead
