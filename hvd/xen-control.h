// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/common.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "hvd/xen-headers.h"
#include "services/runtime/uuid.h"

namespace bulkhead::hvd {

// Remembers the last errors that Xen's libraries reported, in place of the streams and files they
// would write to. Belongs to one XenControl.
class XenErrorLog {
 public:
  XenErrorLog();
  KJ_DISALLOW_COPY_AND_MOVE(XenErrorLog);

  xentoollog_logger* logger() { return &base.vtable; }

  // The errors since the last call, joined; empty when there were none.
  kj::String take();

 private:
  struct Base {
    xentoollog_logger vtable;  // first: the libraries hand this pointer back
    XenErrorLog* owner;
  };
  Base base;
  kj::Vector<char> text;

  static void message(xentoollog_logger* logger, xentoollog_level level, int error,
                      const char* context, const char* format, va_list arguments);
};

// A domain as the hypervisor describes it.
struct DomainFacts {
  uint32_t domid;
  kj::byte handle[Uuid::kSize];
  bool pvh;
  bool paused;
  bool dying;
  kj::Maybe<uint32_t> shutdownReason;  // SHUTDOWN_* of xen/sched.h, once it has shut down
  uint64_t ownedKiB;
  uint64_t maxKiB;
  uint32_t vcpus;
  uint64_t cpuNanoseconds;

  bool is(const Uuid& uuid) const { return uuid.data() == kj::arrayPtr(handle, sizeof handle); }
};

// The hypercall interface of libxenctrl. For one thread; opens /dev/xen/privcmd and
// /dev/xen/hypercall in its constructor and nothing later. Errors are kj exceptions with the
// library's words.
class XenControl {
 public:
  XenControl();
  ~XenControl() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(XenControl);

  xc_interface* raw() { return handle; }

  // What the library said since the last call.
  kj::String takeErrors() { return errors.take(); }

  // Throws unless `result` is a success (not negative). `what` names the act.
  int check(int result, kj::StringPtr what);

  // Every domain of the machine but dom0.
  kj::Vector<DomainFacts> domains();

  // None when it does not exist.
  kj::Maybe<DomainFacts> domain(uint32_t domid);

  xc_physinfo_t machine();

  void pause(uint32_t domid);
  void unpause(uint32_t domid);

  // Returns once the hypervisor has taken the domain apart as far as it can without others letting
  // go of its memory. One that does not exist is a success. Long for large domains.
  void destroy(uint32_t domid);

 private:
  XenErrorLog errors;
  xc_interface* handle;
};

}  // namespace bulkhead::hvd
