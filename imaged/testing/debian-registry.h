// SPDX-License-Identifier: Apache-2.0
// For tests: Debian's docker-registry on a port of its own.
#pragma once

#include <kj/io.h>
#include <kj/string.h>

#include "imaged/testing/processes.h"
#include "imaged/testing/test-image.h"

namespace bulkhead::testing {

class DebianRegistry {
 public:
  // What is pushed lies in `directory`, where the next registry of the same directory finds it.
  // `more` stands behind the section "http" of its configuration.
  explicit DebianRegistry(const TemporaryDirectory& directory, kj::StringPtr more = "");

  kj::String host() const { return kj::str("localhost:", port); }
  uint16_t portNumber() const { return port; }

  // Copies a layout's image to REPOSITORY:TAG.
  void push(kj::StringPtr layout, kj::StringPtr tag, kj::StringPtr name);

 private:
  kj::Own<RunningProcess> process;
  kj::AutoCloseFd log;
  uint16_t port = 0;
};

}  // namespace bulkhead::testing
