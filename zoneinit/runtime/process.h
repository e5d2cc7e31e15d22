// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/function.h>
#include <kj/refcount.h>

#include "zoneinit/runtime/input-stream.h"
#include "zoneinit/runtime/output-pump.h"
#include "zoneinit/runtime/spec.h"

namespace bulkhead::zone {

// How a process ended.
struct ExitStatus {
  enum class Kind : uint8_t { code, signal };
  Kind kind = Kind::code;
  int number = 0;
  bool outOfMemory = false;
  kj::Maybe<kj::Duration> timeout;  // it was killed since it ran for longer
};

// The parent's ends of a process's standard streams.
struct ProcessStreams {
  kj::Maybe<kj::AutoCloseFd> input;     // pipe to write
  kj::Maybe<kj::AutoCloseFd> output;    // pipe to read
  kj::Maybe<kj::AutoCloseFd> error;     // pipe to read
  kj::Maybe<kj::AutoCloseFd> terminal;  // instead of all three
};

struct ProcessSinks {
  kj::Maybe<kj::Own<OutputSink>> output;
  kj::Maybe<kj::Own<OutputSink>> error;
};

// One running or ended process of a container, reaped when it ends whoever holds this or not.
class Process final : public kj::Refcounted {
 public:
  // `log` must live until `run` resolves. `memoryKills` tells how often the kernel killed in the
  // process's cgroup so far.
  Process(kj::UnixEventPort& eventPort, pid_t number, kj::AutoCloseFd process,
          ProcessStreams streams, ProcessSinks sinks, kj::Maybe<LogRing&> log,
          kj::Function<uint64_t()> memoryKills);
  ~Process() noexcept(false) override;

  // Resolves once all of its streams are at their end; to be run once, by the owner.
  kj::Promise<void> run();

  // Resolves when it has ended and its output was handed over.
  kj::Promise<ExitStatus> wait();

  // Resolves when it has ended; output may still be on its way.
  kj::Promise<void> whenEnded() { return ended.addBranch(); }
  bool hasEnded() const { return status != nullptr; }

  pid_t number() const { return pid; }
  int pidfd() const { return process.get(); }

  // Does nothing when it has ended.
  void signal(int number);

  // It is about to be killed for having run this long.
  void noteTimeout(kj::Duration timeout) { outlived = timeout; }

  // Fails with `invalid` where there is no terminal.
  void resize(TerminalSize size);

  // Its input, once. Fails with `busy` for the second taker and `invalid` where it is closed.
  kj::Own<InputStream> takeInput();

 private:
  kj::UnixEventPort& eventPort;
  pid_t pid;
  kj::AutoCloseFd process;
  kj::Maybe<kj::AutoCloseFd> terminal;
  kj::Maybe<kj::Own<InputStream>> input;
  bool inputTaken = false;
  bool inputPiped;
  kj::Vector<kj::Own<OutputPump>> pumps;
  kj::Function<uint64_t()> memoryKills;
  uint64_t memoryKillsBefore;
  kj::Maybe<ExitStatus> status;
  kj::Maybe<kj::Duration> outlived;
  kj::ForkedPromise<void> ended;

  kj::Promise<void> reap();
};

}  // namespace bulkhead::zone
