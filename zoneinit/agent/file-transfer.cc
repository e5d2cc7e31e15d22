// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/file-transfer.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include <capnp/message.h>
#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/tar/failure-line.h"
#include "zoneinit/agent/files-main.h"
#include "zoneinit/runtime/checked-text.h"

namespace bulkhead::zone {
namespace {

constexpr kj::StringPtr kCapabilities[] = {"CHOWN"_kj, "DAC_OVERRIDE"_kj, "FOWNER"_kj, "FSETID"_kj,
                                           "MKNOD"_kj};
constexpr size_t kMostErrorBytes = 32 << 10;

// What the process in the container says on its standard error.
struct ErrorText : public kj::Refcounted {
  kj::Vector<char> text;
};

class ErrorSink final : public OutputSink {
 public:
  explicit ErrorSink(kj::Own<ErrorText> error) : error(kj::mv(error)) {}

  kj::Promise<void> write(kj::ArrayPtr<const kj::byte> bytes) override {
    auto room = kMostErrorBytes - error->text.size();
    error->text.addAll(bytes.slice(0, kj::min(room, bytes.size())).asChars());
    return kj::READY_NOW;
  }

  kj::Promise<void> end() override { return kj::READY_NOW; }

 private:
  kj::Own<ErrorText> error;
};

// Tells that nobody takes the archive any more. Held by both sides, since a fulfiller that is
// dropped tells something as well.
struct Loss : public kj::Refcounted {
  kj::PromiseFulfillerPair<void> pair = kj::newPromiseAndFulfiller<void>();
};

// The archive on its way out. Whether it is complete only the process's end tells, so that this
// does not end the stream.
class ArchiveSink final : public OutputSink {
 public:
  ArchiveSink(schema::ByteStream::Client into, kj::Own<Loss> loss)
      : into(kj::mv(into)), loss(kj::mv(loss)) {}

  kj::Promise<void> write(kj::ArrayPtr<const kj::byte> bytes) override {
    auto request = into.writeRequest(capnp::MessageSize{bytes.size() / 8 + 16, 0});
    request.setBytes(bytes);
    try {
      co_await request.send();
    } catch (...) {
      auto exception = kj::getCaughtExceptionAsKj();
      loss->pair.fulfiller->reject(kj::cp(exception));
      kj::throwFatalException(kj::mv(exception));
    }
  }

  kj::Promise<void> end() override { return kj::READY_NOW; }

 private:
  schema::ByteStream::Client into;
  kj::Own<Loss> loss;
};

// The process in the container; killed with this object.
class FilesProcess {
 public:
  FilesProcess(kj::Own<Process> process, kj::Own<ErrorText> error)
      : process(kj::mv(process)), error(kj::mv(error)) {}
  ~FilesProcess() noexcept(false) {
    if (process.get() != nullptr) process->signal(SIGKILL);
  }
  FilesProcess(FilesProcess&&) = default;
  FilesProcess& operator=(FilesProcess&&) = delete;
  KJ_DISALLOW_COPY(FilesProcess);

  kj::Own<InputStream> takeInput() { return process->takeInput(); }

  // Resolves when it has done its work; fails as it did.
  kj::Promise<void> succeeded() {
    auto status = co_await process->wait();
    if (status.kind == ExitStatus::Kind::code && status.number == 0) co_return;
    if (status.outOfMemory) {
      fail(FailureCode::EXHAUSTED, kFilesProgram, "the container has no memory left for it");
    }
    if (status.kind == ExitStatus::Kind::signal) {
      fail(FailureCode::CANCELLED, kFilesProgram,
           kj::str("was ended by signal ", status.number, " in the container"));
    }
    kj::throwFatalException(decodeFailureLine(error->text).toException());
  }

 private:
  kj::Own<Process> process;
  kj::Own<ErrorText> error;
};

kj::Promise<FilesProcess> startFiles(Container& container, kj::StringPtr order,
                                     capnp::Text::Reader path,
                                     kj::Maybe<kj::Own<OutputSink>> output, InputMode input) {
  int raw;
  KJ_SYSCALL(raw = open("/proc/self/exe", O_PATH | O_CLOEXEC));
  kj::AutoCloseFd program(raw);
  // As an exec is asked for, with all that this brings.
  capnp::MallocMessageBuilder message;
  auto spec = message.initRoot<schema::ProcessSpec>();
  auto arguments = spec.initArguments(3);
  arguments.set(0, kFilesProgram);
  arguments.set(1, order);
  arguments.set(2, checkedPath(path, "path"));
  spec.setUser("0:0");
  // What it takes to write files as their owners, and nothing else.
  auto capabilities = spec.initCapabilities();
  capabilities.initDrop(1).set(0, "ALL");
  auto add = capabilities.initAdd(static_cast<uint>(std::size(kCapabilities)));
  uint i = 0;
  for (auto name : kCapabilities) add.set(i++, name);
  auto error = kj::refcounted<ErrorText>();
  ProcessSinks sinks;
  sinks.output = kj::mv(output);
  sinks.error = kj::Own<OutputSink>(kj::heap<ErrorSink>(kj::addRef(*error)));
  auto process = co_await container.executeProgram(program, readProcessSpec(spec.asReader()),
                                                   kj::mv(sinks), input);
  co_return FilesProcess(kj::mv(process), kj::mv(error));
}

class ArchiveServer final : public schema::ByteStream::Server {
 public:
  explicit ArchiveServer(FilesProcess processParam)
      : process(kj::mv(processParam)), input(process.takeInput()) {}

  kj::Promise<void> write(WriteContext context) override {
    kj::Maybe<kj::Exception> refusal;
    try {
      co_await input->write(context.getParams().getBytes());
    } catch (...) {
      refusal = kj::getCaughtExceptionAsKj();
    }
    KJ_IF_MAYBE (exception, refusal) {
      // It has ended before the archive: why is the better error.
      co_await process.succeeded();
      kj::throwFatalException(kj::mv(*exception));
    }
  }

  kj::Promise<void> end(EndContext) override {
    co_await input->end();
    co_await process.succeeded();
  }

 private:
  FilesProcess process;
  kj::Own<InputStream> input;
};

}  // namespace

kj::Promise<schema::ByteStream::Client> putFiles(kj::Own<Container> container,
                                                 capnp::Text::Reader directory) {
  auto process = co_await startFiles(*container, "put", directory, nullptr, InputMode::piped);
  co_return kj::heap<ArchiveServer>(kj::mv(process));
}

kj::Promise<void> getFiles(kj::Own<Container> container, capnp::Text::Reader path,
                           schema::ByteStream::Client into) {
  auto loss = kj::refcounted<Loss>();
  auto process = co_await startFiles(
      *container, "get", path, kj::Own<OutputSink>(kj::heap<ArchiveSink>(into, kj::addRef(*loss))),
      InputMode::closed);
  co_await process.succeeded().exclusiveJoin(kj::mv(loss->pair.promise));
  co_await into.endRequest().send();
}

}  // namespace bulkhead::zone
