// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/testing/mock-agent.h"

#include <errno.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead::testing {
namespace {

using MockDomain = MockWorld::MockDomain;
using MockProcess = MockWorld::MockProcess;

// Writes to a client's descriptor, as a link process does.
class FdWriter final : public schema::ByteStream::Server {
 public:
  explicit FdWriter(kj::AutoCloseFd fd) : fd(kj::mv(fd)) {}

  kj::Promise<void> write(WriteContext context) override {
    auto bytes = context.getParams().getBytes();
    kj::FdOutputStream(fd.get()).write(bytes.begin(), bytes.size());
    return kj::READY_NOW;
  }

  kj::Promise<void> end(EndContext) override {
    fd = nullptr;
    return kj::READY_NOW;
  }

 private:
  kj::AutoCloseFd fd;
};

// What "cat" does with its input.
class CatInput final : public schema::ByteStream::Server {
 public:
  CatInput(schema::ByteStream::Client output, kj::Own<MockProcess> process)
      : output(kj::mv(output)), process(kj::mv(process)) {}

  kj::Promise<void> write(WriteContext context) override {
    auto request = output.writeRequest();
    request.setBytes(context.getParams().getBytes());
    return request.send();
  }

  kj::Promise<void> end(EndContext) override {
    co_await output.endRequest().send();
    process->code = 0;
    process->end();
  }

 private:
  schema::ByteStream::Client output;
  kj::Own<MockProcess> process;
};

// Keeps an archive as it is.
class FilesInput final : public schema::ByteStream::Server {
 public:
  explicit FilesInput(kj::Own<MockWorld::MockFile> file) : file(kj::mv(file)) {}

  kj::Promise<void> write(WriteContext context) override {
    file->bytes.addAll(context.getParams().getBytes());
    return kj::READY_NOW;
  }
  kj::Promise<void> end(EndContext) override { return kj::READY_NOW; }

 private:
  kj::Own<MockWorld::MockFile> file;
};

class ProcessServer final : public schema::Process::Server {
 public:
  ProcessServer(kj::Own<MockProcess> process, kj::Maybe<schema::ByteStream::Client> input)
      : process(kj::mv(process)), input(kj::mv(input)) {}

  kj::Promise<void> wait(WaitContext context) override {
    while (!process->hasEnded()) {
      auto pair = kj::newPromiseAndFulfiller<void>();
      process->waiters.add(kj::mv(pair.fulfiller));
      co_await pair.promise;
    }
    auto status = context.getResults().initStatus();
    KJ_IF_MAYBE (code, process->code) {
      status.setCode(*code);
    }
    KJ_IF_MAYBE (signal, process->signal) {
      status.setSignal(*signal);
    }
  }

  kj::Promise<void> signal(SignalContext context) override {
    if (!process->hasEnded()) {
      process->signal = context.getParams().getNumber();
      process->end();
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> stdin(StdinContext context) override {
    context.getResults().setStream(KJ_REQUIRE_NONNULL(input, "no input"));
    return kj::READY_NOW;
  }

 private:
  kj::Own<MockProcess> process;
  kj::Maybe<schema::ByteStream::Client> input;
};

// Runs the interpreter the header describes.
kj::Promise<schema::Process::Client> interpret(kj::ArrayPtr<const kj::String> arguments,
                                               kj::ArrayPtr<const kj::String> environment,
                                               schema::Stdio::Reader stdio,
                                               kj::Own<MockProcess> process) {
  auto word = arguments[0].asPtr();
  kj::Maybe<schema::ByteStream::Client> output;
  if (stdio.hasStdout()) output = stdio.getStdout();
  kj::Maybe<schema::ByteStream::Client> input;
  kj::String text;
  if (word == "echo") {
    text = kj::str(kj::strArray(arguments.slice(1, arguments.size()), " "), "\n");
    process->code = 0;
  } else if (word == "environment") {
    text = kj::str(kj::strArray(environment, "\n"), "\n");
    process->code = 0;
  } else if (word == "exit") {
    process->code = arguments[1].parseAs<int>();
  } else if (word == "cat") {
    input = kj::heap<CatInput>(KJ_REQUIRE_NONNULL(output), kj::addRef(*process));
  } else if (word != "sleep") {
    fail(FailureCode::COMMAND_NOT_FOUND, word, "no such file or directory");
  }
  KJ_IF_MAYBE (stream, output) {
    if (text.size() > 0) {
      auto request = stream->writeRequest();
      request.setBytes(text.asBytes());
      co_await request.send();
    }
    if (process->code != nullptr) co_await stream->endRequest().send();
  }
  co_return kj::heap<ProcessServer>(kj::mv(process), kj::mv(input));
}

class WorkloadServer final : public schema::Workload::Server {
 public:
  WorkloadServer(MockWorld& world, kj::Own<MockDomain> domain)
      : world(world), domain(kj::mv(domain)) {}

  kj::Promise<void> start(StartContext context) override {
    world.failIf("start");
    auto process = kj::refcounted<MockProcess>();
    auto client = co_await interpret(domain->arguments, domain->environment,
                                     context.getParams().getStdio(), kj::addRef(*process));
    domain->process = kj::mv(process);
    context.getResults().setProcess(kj::mv(client));
  }

  kj::Promise<void> process(ProcessContext context) override {
    KJ_IF_MAYBE (process, domain->process) {
      context.getResults().setProcess(kj::heap<ProcessServer>(kj::addRef(**process), nullptr));
      return kj::READY_NOW;
    }
    fail(FailureCode::BUSY, "workload", "was not started");
  }

  kj::Promise<void> exec(ExecContext context) override {
    kj::Vector<kj::String> arguments;
    for (kj::StringPtr text : context.getParams().getSpec().getArguments()) {
      arguments.add(kj::str(text));
    }
    kj::Vector<kj::String> environment;
    for (kj::StringPtr text : context.getParams().getSpec().getEnvironment()) {
      environment.add(kj::str(text));
    }
    context.getResults().setProcess(co_await interpret(
        arguments, environment, context.getParams().getStdio(), kj::refcounted<MockProcess>()));
  }

  kj::Promise<void> logs(LogsContext context) override {
    auto options = context.getParams().getOptions();
    world.call(kj::str("logs since ", options.getSinceUnixNanoseconds(), " until ",
                       options.getUntilUnixNanoseconds(),
                       options.getTimestamps() ? " with timestamps" : ""));
    auto output = context.getParams().getStdout();
    auto request = output.writeRequest();
    request.setBytes(kj::StringPtr("from the log\n").asBytes());
    co_await request.send();
    co_await output.endRequest().send();
  }

  kj::Promise<void> putFiles(PutFilesContext context) override {
    auto directory = context.getParams().getDirectory();
    if (directory == "/missing") fail(FailureCode::NOT_FOUND, directory, "there is none");
    auto file = kj::refcounted<MockWorld::MockFile>();
    domain->files.upsert(kj::str(directory), kj::addRef(*file));
    context.getResults().setArchive(kj::heap<FilesInput>(kj::mv(file)));
    return kj::READY_NOW;
  }

  kj::Promise<void> getFiles(GetFilesContext context) override {
    auto params = context.getParams();
    KJ_IF_MAYBE (file, domain->files.find(params.getPath())) {
      auto held = kj::addRef(**file);
      auto into = params.getInto();
      auto request = into.writeRequest();
      request.setBytes(held->bytes.asPtr());
      co_await request.send();
      co_await into.endRequest().send();
      co_return;
    }
    auto known = params.getPath() == "/file/.";
    fail(known ? FailureCode::INVALID : FailureCode::NOT_FOUND, params.getPath(), "there is none");
  }

 private:
  MockWorld& world;
  kj::Own<MockDomain> domain;
};

class AgentServer final : public schema::ZoneAgent::Server {
 public:
  AgentServer(MockWorld& world, kj::Own<MockDomain> domain)
      : world(world), domain(kj::mv(domain)) {}

  kj::Promise<void> info(InfoContext context) override {
    context.getResults().initInfo().setKernelVersion("6.12.0-mock");
    return kj::READY_NOW;
  }

  kj::Promise<void> configure(ConfigureContext) override {
    world.failIf("configure");
    domain->configured = true;
    return kj::READY_NOW;
  }

  kj::Promise<void> createWorkload(CreateWorkloadContext context) override {
    world.failIf("createWorkload");
    world.call(
        kj::str("createWorkload stopped by ", context.getParams().getSpec().getStopSignal()));
    for (auto path : context.getParams().getSpec().getSettings().getMaskedPaths()) {
      world.call(kj::str("createWorkload masks ", path));
    }
    auto process = context.getParams().getSpec().getProcess();
    for (kj::StringPtr text : process.getArguments()) domain->arguments.add(kj::str(text));
    for (kj::StringPtr text : process.getEnvironment()) domain->environment.add(kj::str(text));
    domain->hasWorkload = true;
    context.getResults().setWorkload(kj::heap<WorkloadServer>(world, kj::addRef(*domain)));
    return kj::READY_NOW;
  }

  kj::Promise<void> workloads(WorkloadsContext context) override {
    if (!domain->hasWorkload) return kj::READY_NOW;
    auto entry = context.getResults().initWorkloads(1)[0];
    entry.setId("main");
    entry.setWorkload(kj::heap<WorkloadServer>(world, kj::addRef(*domain)));
    entry.setState(schema::WorkloadEntry::State::CREATED);
    KJ_IF_MAYBE (process, domain->process) {
      entry.setState((*process)->hasEnded() ? schema::WorkloadEntry::State::EXITED
                                            : schema::WorkloadEntry::State::RUNNING);
    }
    return kj::READY_NOW;
  }

 private:
  MockWorld& world;
  kj::Own<MockDomain> domain;
};

class LinkServer final : public schema::Link::Server {
 public:
  LinkServer(MockWorld& world, kj::Own<MockDomain> domainParam)
      : world(world), domain(kj::mv(domainParam)) {
    domain->linked = true;
    auto pair = kj::newPromiseAndFulfiller<void>();
    closed = pair.promise.fork();
    world.linkClosers.add(kj::mv(pair.fulfiller));
  }
  ~LinkServer() noexcept(false) {
    domain->linked = false;
    ++domain->epoch;
    domain->change();
  }

  kj::Promise<void> agent(AgentContext context) override {
    context.getResults().setAgent(kj::heap<AgentServer>(world, kj::addRef(*domain)));
    return kj::READY_NOW;
  }

  kj::Promise<void> whenClosed(WhenClosedContext) override { return closed.addBranch(); }

  kj::Promise<void> writer(WriterContext context) override {
    auto fd = co_await takeFd(context.getParams().getFile(), "writer");
    context.getResults().setStream(kj::heap<FdWriter>(kj::mv(fd)));
  }

  kj::Promise<void> pump(PumpContext context) override {
    auto fd = co_await takeFd(context.getParams().getFile(), "pump");
    auto into = context.getParams().getInto();
    auto input = world.provider.wrapInputFd(kj::mv(fd));
    kj::byte buffer[1024];
    for (;;) {
      auto count = co_await input->tryRead(buffer, 1, sizeof buffer);
      if (count == 0) break;
      auto request = into.writeRequest();
      request.setBytes(kj::arrayPtr(buffer, count));
      co_await request.send();
    }
    co_await into.endRequest().send();
  }

 private:
  MockWorld& world;
  kj::Own<MockDomain> domain;
  kj::ForkedPromise<void> closed = nullptr;
};

}  // namespace

schema::Link::Client makeMockLink(MockWorld& world, kj::Own<MockDomain> domain) {
  return kj::heap<LinkServer>(world, kj::mv(domain));
}

}  // namespace bulkhead::testing
