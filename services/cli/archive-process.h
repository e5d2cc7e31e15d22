// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <kj/function.h>
#include <kj/io.h>

#include "services/cli/context.h"

namespace bulkhead {

// A process beside the command that packs or unpacks an archive: the command's loop goes on, and
// whatever a stranger's archive does happens in there.
class ArchiveProcess {
 public:
  enum class Stream { input, output };

  // Runs `body` with `archive` as its standard input or output, and besides it open only the other
  // standard streams.
  ArchiveProcess(CommandContext& context, kj::AutoCloseFd archive, Stream stream,
                 kj::Function<void()> body);
  // Ends it.
  ~ArchiveProcess() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ArchiveProcess);

  // Resolves when it has ended, with what `body` failed with.
  kj::Promise<kj::Maybe<kj::Exception>> failure();

 private:
  pid_t process = -1;
  kj::Own<kj::AsyncInputStream> report;
};

// Of a producer's and a consumer's failure, throws the one that is the cause: a producer that was
// cut off says less than whoever cut it off.
void throwCause(kj::Maybe<kj::Exception> producer, kj::Maybe<kj::Exception> consumer);

// Lets this process change nothing outside a directory from now on, as far as the kernel can.
void confineTo(kj::StringPtr directory);

}  // namespace bulkhead
