// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <kj/async-io.h>
#include <kj/refcount.h>

#include "schemas/agent.capnp.h"

namespace bulkhead::zone {

// What a stream received.
struct Collected : public kj::Refcounted {
  kj::Vector<char> bytes;
  bool ended = false;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waiter;

  kj::String text() const;
  bool contains(kj::StringPtr what) const;
};

// A stream into `collected`.
schema::ByteStream::Client collectInto(Collected& collected);

// How a process went.
struct Outcome {
  int code = -1;    // exit code, or
  int signal = -1;  // the signal that killed it
  bool outOfMemory = false;
  kj::String output;
  kj::String error;
  bool outputEnded = false;
};

enum class TestInput { closed, piped };

// Shortens tests: specs from a few words, and processes run to their end.
class AgentClient {
 public:
  AgentClient(kj::WaitScope& waitScope, schema::ZoneAgent::Client agent, kj::StringPtr disk);

  using Change = kj::Function<void(schema::WorkloadSpec::Builder)>;
  using ChangeProcess = kj::Function<void(schema::ProcessSpec::Builder)>;

  // A prepared workload of a fresh id that would run this command.
  schema::Workload::Client create(kj::ArrayPtr<const kj::StringPtr> command, Change change);
  schema::Workload::Client create(kj::ArrayPtr<const kj::StringPtr> command);

  // Creates, starts, waits, destroys.
  Outcome run(kj::ArrayPtr<const kj::StringPtr> command, Change change);
  Outcome run(kj::ArrayPtr<const kj::StringPtr> command);
  // The same for a line of shell.
  Outcome sh(kj::StringPtr line, Change change);
  Outcome sh(kj::StringPtr line);

  // A process in a running workload, to its end.
  Outcome exec(schema::Workload::Client workload, kj::StringPtr line, ChangeProcess change);
  Outcome exec(schema::Workload::Client workload, kj::StringPtr line);

  struct Started {
    schema::Process::Client process;
    kj::Own<Collected> output;
    kj::Own<Collected> error;
  };
  Started start(schema::Workload::Client workload, TestInput input = TestInput::closed);
  Started startExec(schema::Workload::Client workload, kj::StringPtr line, ChangeProcess change);

  Outcome finish(Started& started);

  // Lets events happen until the text is there.
  void waitFor(Collected& collected, kj::StringPtr text);

  kj::String logs(schema::Workload::Client workload, uint32_t tailLines = 0);

  schema::ZoneAgent::Client agent;

 private:
  kj::WaitScope& waitScope;
  kj::String disk;
  uint nextId = 0;
};

}  // namespace bulkhead::zone
