// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/process-server.h"

#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

// Output to a stream in dom0. The stream's own flow control says when it can take more.
class StreamSink final : public OutputSink {
 public:
  explicit StreamSink(schema::ByteStream::Client stream) : stream(kj::mv(stream)) {}

  kj::Promise<void> write(kj::ArrayPtr<const kj::byte> bytes) override {
    auto request = stream.writeRequest(capnp::MessageSize{bytes.size() / 8 + 16, 0});
    request.setBytes(bytes);
    return request.send();
  }

  kj::Promise<void> end() override { return stream.endRequest().send().ignoreResult(); }

 private:
  schema::ByteStream::Client stream;
};

class InputServer final : public schema::ByteStream::Server {
 public:
  explicit InputServer(kj::Own<InputStream> input) : input(kj::mv(input)) {}

  kj::Promise<void> write(WriteContext context) override {
    return input->write(context.getParams().getBytes());
  }

  kj::Promise<void> end(EndContext) override { return input->end(); }

 private:
  kj::Own<InputStream> input;
};

class ProcessServer final : public schema::Process::Server {
 public:
  explicit ProcessServer(kj::Own<Process> process) : process(kj::mv(process)) {}

  kj::Promise<void> wait(WaitContext context) override {
    auto status = co_await process->wait();
    fillExitStatus(context.getResults().getStatus(), status);
  }

  kj::Promise<void> signal(SignalContext context) override {
    process->signal(checkSignal(context.getParams().getNumber()));
    return kj::READY_NOW;
  }

  kj::Promise<void> stdin(StdinContext context) override {
    context.getResults().setStream(kj::heap<InputServer>(process->takeInput()));
    return kj::READY_NOW;
  }

  kj::Promise<void> resize(ResizeContext context) override {
    auto size = context.getParams().getSize();
    process->resize({size.getRows(), size.getColumns()});
    return kj::READY_NOW;
  }

  kj::Promise<void> info(InfoContext context) override {
    context.getResults().setPid(static_cast<uint32_t>(process->number()));
    return kj::READY_NOW;
  }

 private:
  kj::Own<Process> process;
};

}  // namespace

schema::Process::Client makeProcessServer(kj::Own<Process> process) {
  return kj::heap<ProcessServer>(kj::mv(process));
}

ProcessSinks readSinks(schema::Stdio::Reader stdio) {
  ProcessSinks sinks;
  if (stdio.hasStdout())
    sinks.output = kj::Own<OutputSink>(kj::heap<StreamSink>(stdio.getStdout()));
  if (stdio.hasStderr()) sinks.error = kj::Own<OutputSink>(kj::heap<StreamSink>(stdio.getStderr()));
  return sinks;
}

InputMode readInputMode(schema::Stdio::Reader stdio) {
  return stdio.getStdin() == schema::Stdio::StdinMode::PIPED ? InputMode::piped : InputMode::closed;
}

void fillExitStatus(schema::ExitStatus::Builder builder, const ExitStatus& status) {
  if (status.kind == ExitStatus::Kind::code) {
    builder.setCode(status.number);
  } else {
    builder.setSignal(status.number);
  }
  builder.setOutOfMemory(status.outOfMemory);
  if (status.outOfMemory) builder.setReason("killed for want of memory");
  KJ_IF_MAYBE (timeout, status.timeout) {
    builder.setReason(kj::str("killed since it ran for longer than ", *timeout));
  }
}

}  // namespace bulkhead::zone
