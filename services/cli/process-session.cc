// SPDX-License-Identifier: Apache-2.0
#include "services/cli/process-session.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <kj/async-unix.h>

#include "services/cli/terminal.h"

namespace bulkhead {
namespace {

kj::Promise<void> passSizesOn(CommandContext& context, schema::Process::Client process) {
  for (;;) {
    co_await context.io.unixEventPort.onSignal(SIGWINCH);
    auto request = process.resizeRequest();
    fillTerminalSize(request.initSize());
    // A process that has just ended has no size.
    co_await request.send().ignoreResult().catch_([](kj::Exception&&) {});
  }
}

kj::Promise<int> passSignalsOn(CommandContext& context, schema::Process::Client process) {
  int first = co_await context.nextSignal();
  auto request = process.signalRequest();
  request.setNumber(first);
  auto sent = request.send().ignoreResult().catch_([](kj::Exception&&) {}).eagerlyEvaluate(nullptr);
  context.interrupt(co_await context.nextSignal());
}

kj::Promise<int> exitOf(schema::Process::Client process) {
  auto ended = co_await process.waitRequest().send();
  co_return exitCodeOf(ended.getStatus());
}

}  // namespace

void fillStdio(schema::StdioFiles::Builder stdio, const Attachment& attachment) {
  if (attachment.input) stdio.setStdin(shareFd(STDIN_FILENO));
  stdio.setStdout(shareFd(STDOUT_FILENO));
  if (!attachment.terminal) stdio.setStderr(shareFd(STDERR_FILENO));
}

kj::Promise<int> followProcess(CommandContext& context, schema::Process::Client process,
                               const Attachment& attachment) {
  kj::Promise<void> sizes = nullptr;
  if (attachment.terminal) {
    sizes = passSizesOn(context, process).eagerlyEvaluate([](kj::Exception&&) {});
  }
  co_return co_await exitOf(process).exclusiveJoin(passSignalsOn(context, process));
}

kj::Maybe<kj::String> environmentEntry(kj::StringPtr text) {
  if (text.findFirst('=') != nullptr) return kj::str(text);
  const char* value = getenv(text.cStr());
  if (value == nullptr) return nullptr;
  return kj::str(text, '=', value);
}

}  // namespace bulkhead
