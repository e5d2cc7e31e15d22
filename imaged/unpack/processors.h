// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

namespace bulkhead {

// How many processors this thread may run on, `most` at most. Asks the kernel itself: the C
// library would open files, which the sandbox does not have.
uint processors(uint most);

}  // namespace bulkhead
