// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/testing/agent-client.h"

#include <string.h>

#include <kj/debug.h>

namespace bulkhead::zone {
namespace {

class CollectingStream final : public schema::ByteStream::Server {
 public:
  explicit CollectingStream(kj::Own<Collected> collected) : collected(kj::mv(collected)) {}

  kj::Promise<void> write(WriteContext context) override {
    collected->bytes.addAll(context.getParams().getBytes().asChars());
    wake();
    return kj::READY_NOW;
  }

  kj::Promise<void> end(EndContext) override {
    collected->ended = true;
    wake();
    return kj::READY_NOW;
  }

 private:
  kj::Own<Collected> collected;

  void wake() {
    KJ_IF_MAYBE (waiter, collected->waiter) {
      (*waiter)->fulfill();
    }
  }
};

void fillCommand(schema::ProcessSpec::Builder process, kj::ArrayPtr<const kj::StringPtr> command) {
  auto arguments = process.initArguments(static_cast<uint>(command.size()));
  for (uint i = 0; i < command.size(); ++i) arguments.set(i, command[i]);
}

}  // namespace

kj::String Collected::text() const { return kj::heapString(bytes.begin(), bytes.size()); }

bool Collected::contains(kj::StringPtr what) const {
  return memmem(bytes.begin(), bytes.size(), what.begin(), what.size()) != nullptr;
}

schema::ByteStream::Client collectInto(Collected& collected) {
  return kj::heap<CollectingStream>(kj::addRef(collected));
}

AgentClient::AgentClient(kj::WaitScope& waitScope, schema::ZoneAgent::Client agent,
                         kj::StringPtr disk)
    : agent(kj::mv(agent)), waitScope(waitScope), disk(kj::str(disk)) {}

schema::Workload::Client AgentClient::create(kj::ArrayPtr<const kj::StringPtr> command,
                                             Change change) {
  auto request = agent.createWorkloadRequest();
  auto spec = request.initSpec();
  spec.setId(kj::str("w", nextId++));
  spec.setRootDisk(disk);
  fillCommand(spec.initProcess(), command);
  change(spec);
  return request.send().wait(waitScope).getWorkload();
}

schema::Workload::Client AgentClient::create(kj::ArrayPtr<const kj::StringPtr> command) {
  return create(command, [](schema::WorkloadSpec::Builder) {});
}

AgentClient::Started AgentClient::start(schema::Workload::Client workload, TestInput input) {
  auto output = kj::refcounted<Collected>(), error = kj::refcounted<Collected>();
  auto request = workload.startRequest();
  auto stdio = request.initStdio();
  stdio.setStdout(collectInto(*output));
  stdio.setStderr(collectInto(*error));
  stdio.setStdin(input == TestInput::piped ? schema::Stdio::StdinMode::PIPED
                                           : schema::Stdio::StdinMode::CLOSED);
  auto process = request.send().wait(waitScope).getProcess();
  return {kj::mv(process), kj::mv(output), kj::mv(error)};
}

AgentClient::Started AgentClient::startExec(schema::Workload::Client workload, kj::StringPtr line,
                                            ChangeProcess change) {
  auto output = kj::refcounted<Collected>(), error = kj::refcounted<Collected>();
  auto request = workload.execRequest();
  kj::StringPtr command[] = {"/bin/sh", "-c", line};
  fillCommand(request.initSpec(), command);
  change(request.getSpec());
  auto stdio = request.initStdio();
  stdio.setStdout(collectInto(*output));
  stdio.setStderr(collectInto(*error));
  auto process = request.send().wait(waitScope).getProcess();
  return {kj::mv(process), kj::mv(output), kj::mv(error)};
}

Outcome AgentClient::finish(Started& started) {
  auto response = started.process.waitRequest().send().wait(waitScope);
  auto status = response.getStatus();
  Outcome outcome;
  if (status.isCode()) {
    outcome.code = status.getCode();
  } else {
    outcome.signal = status.getSignal();
  }
  outcome.outOfMemory = status.getOutOfMemory();
  outcome.output = started.output->text();
  outcome.error = started.error->text();
  outcome.outputEnded = started.output->ended;
  return outcome;
}

Outcome AgentClient::run(kj::ArrayPtr<const kj::StringPtr> command, Change change) {
  auto workload = create(command, kj::mv(change));
  KJ_DEFER(workload.destroyRequest().send().wait(waitScope));
  auto started = start(workload);
  return finish(started);
}

Outcome AgentClient::run(kj::ArrayPtr<const kj::StringPtr> command) {
  return run(command, [](schema::WorkloadSpec::Builder) {});
}

Outcome AgentClient::sh(kj::StringPtr line, Change change) {
  kj::StringPtr command[] = {"/bin/sh", "-c", line};
  return run(command, kj::mv(change));
}

Outcome AgentClient::sh(kj::StringPtr line) {
  return sh(line, [](schema::WorkloadSpec::Builder) {});
}

Outcome AgentClient::exec(schema::Workload::Client workload, kj::StringPtr line,
                          ChangeProcess change) {
  auto started = startExec(kj::mv(workload), line, kj::mv(change));
  return finish(started);
}

Outcome AgentClient::exec(schema::Workload::Client workload, kj::StringPtr line) {
  return exec(kj::mv(workload), line, [](schema::ProcessSpec::Builder) {});
}

void AgentClient::waitFor(Collected& collected, kj::StringPtr text) {
  while (!collected.contains(text)) {
    auto paf = kj::newPromiseAndFulfiller<void>();
    collected.waiter = kj::mv(paf.fulfiller);
    paf.promise.wait(waitScope);
  }
}

kj::String AgentClient::logs(schema::Workload::Client workload, uint32_t tailLines) {
  auto output = kj::refcounted<Collected>();
  auto request = workload.logsRequest();
  request.initOptions().setTailLines(tailLines);
  request.setStdout(collectInto(*output));
  request.setStderr(collectInto(*output));
  request.send().wait(waitScope);
  return output->text();
}

}  // namespace bulkhead::zone
