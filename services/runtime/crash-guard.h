// SPDX-License-Identifier: Apache-2.0
// The last line a process writes: what killed it, and where.
#pragma once

#include <kj/string.h>

namespace bulkhead {

// Turns every violation into one line on stderr and an end by signal:
//
//   bulkhead-crash service=hvd signal=SIGSEGV reason="address not mapped" address=0x10
//   build=3f2a...
//
// It answers SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT (failed assertions, FORTIFY, the stack
// protector, std::terminate with the exception's own text) and SIGSYS (the number of the call, in
// builds whose policies trap). The process then dies by the same signal under its default action,
// so that the service manager sees the true cause.
//
// The handler allocates nothing, takes no lock and runs on a stack of its own, so that it also
// speaks when the heap is broken or the stack is full.
class CrashGuard {
 public:
  // Guards the process and the calling thread. `service` is cut after 31 bytes. To be called first
  // thing in main(), once; a kj::MainBuilder program calls it within its main function, since kj
  // installs handlers of its own before.
  static void install(kj::StringPtr service);

  // A stack for the last words of one more thread: held by that thread, as its first object.
  // Without it everything but an overflow of that thread's stack is still reported.
  class ThreadStack {
   public:
    ThreadStack();
    ~ThreadStack() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(ThreadStack);

   private:
    void* memory;
  };
};

}  // namespace bulkhead
