// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/common.h>
#include <kj/io.h>

#include "zoneinit/runtime/step.h"

namespace bulkhead::zone {

// How a child's set-up went, as it tells its parent: a page that both see, and a pipe whose end
// says that the page is final. Writing to memory is no system call: what a container's own filter
// refuses can still be told.
class SetUpReport {
 public:
  // Fails with `exhausted` where there is no room for it.
  SetUpReport();
  SetUpReport(SetUpReport&& other) noexcept;
  SetUpReport& operator=(SetUpReport&& other) noexcept;
  ~SetUpReport();
  KJ_DISALLOW_COPY(SetUpReport);

  // For the child: the page, and the end of the pipe that it holds until its program runs.
  StepReport* page() const { return shared; }
  int childEnd() const { return child.get(); }

  // For the parent, once the child is born.
  void closeChildEnd() { child = nullptr; }
  int parentEnd() const { return parent.get(); }

 private:
  StepReport* shared = nullptr;
  kj::AutoCloseFd parent;
  kj::AutoCloseFd child;
};

}  // namespace bulkhead::zone
