// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/cli/context.h"

namespace bulkhead {

// How a process in a zone is joined to this terminal.
struct Attachment {
  bool input = false;     // -i: standard input is the process's
  bool terminal = false;  // -t: the process gets a terminal, ours is raw meanwhile
};

// The client's own descriptors as far as the process gets them.
void fillStdio(schema::StdioFiles::Builder stdio, const Attachment& attachment);

// Waits for a process while passing signals on to it: the first SIGINT, SIGTERM or SIGHUP goes to
// the process, a second one ends the wait with `Interrupted`. With a terminal, changes of its size
// are passed on as well.
kj::Promise<int> followProcess(CommandContext& context, schema::Process::Client process,
                               const Attachment& attachment);

// Parses "KEY=value" or "KEY", which takes the value from our own environment; null when that has
// none.
kj::Maybe<kj::String> environmentEntry(kj::StringPtr text);

}  // namespace bulkhead
