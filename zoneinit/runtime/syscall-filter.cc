// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/syscall-filter.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zoneinit/runtime/step.h"

namespace bulkhead::zone {

void loadSystemCallFilter(kj::ArrayPtr<const sock_filter> program, uint32_t flags) {
  // The kernel only reads it.
  sock_fprog whole{static_cast<unsigned short>(program.size()),
                   const_cast<sock_filter*>(program.begin())};
  must(Step::systemCallFilter, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &whole),
       "seccomp");
}

}  // namespace bulkhead::zone
