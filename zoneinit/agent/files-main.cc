// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/files-main.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <kj/io.h>

#include "services/tar/failure-line.h"
#include "services/tar/tree-pack.h"
#include "services/tar/tree-unpack.h"

namespace bulkhead::zone {
namespace {

void run(kj::ArrayPtr<const char* const> arguments) {
  if (arguments.size() == 3) {
    kj::StringPtr order = arguments[1], path = arguments[2];
    if (order == "put") {
      unpackTree(STDIN_FILENO, path, UnpackAs::root, nullptr);
      return;
    }
    if (order == "get") {
      packTree(path, lastPart(path), PackOwners::kept, STDOUT_FILENO);
      return;
    }
  }
  fail(FailureCode::INTERNAL, kFilesProgram, "is not for people; use bulkhead zone cp");
}

}  // namespace

int filesMain(kj::ArrayPtr<const char* const> arguments) {
  // The container's other processes of this user have no business in here.
  prctl(PR_SET_DUMPABLE, 0);
  // Executed through a descriptor it would be called by that descriptor's number.
  prctl(PR_SET_NAME, kFilesProgram.cStr());
  try {
    run(arguments);
    return 0;
  } catch (...) {
    auto line = encodeFailureLine(failureOf(kj::getCaughtExceptionAsKj()));
    kj::FdOutputStream(STDERR_FILENO).write(line.begin(), line.size());
    return 1;
  }
}

}  // namespace bulkhead::zone
