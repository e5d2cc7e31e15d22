// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/set-up-report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <utility>

#include "services/runtime/failure.h"

namespace bulkhead::zone {

SetUpReport::SetUpReport() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    int error = errno;
    fail(FailureCode::EXHAUSTED, "the container", kj::str("making a pipe: ", strerror(error)));
  }
  parent = kj::AutoCloseFd(ends[0]);
  child = kj::AutoCloseFd(ends[1]);
  void* memory =
      mmap(nullptr, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    int error = errno;
    fail(FailureCode::EXHAUSTED, "the container", kj::str("mapping memory: ", strerror(error)));
  }
  shared = new (memory) StepReport{};
}

SetUpReport::SetUpReport(SetUpReport&& other) noexcept
    : shared(std::exchange(other.shared, nullptr)),
      parent(kj::mv(other.parent)),
      child(kj::mv(other.child)) {}

SetUpReport& SetUpReport::operator=(SetUpReport&& other) noexcept {
  std::swap(shared, other.shared);
  parent = kj::mv(other.parent);
  child = kj::mv(other.child);
  return *this;
}

SetUpReport::~SetUpReport() {
  if (shared != nullptr) munmap(shared, sizeof *shared);
}

}  // namespace bulkhead::zone
