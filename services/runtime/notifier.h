// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/string.h>
#include <kj/time.h>

namespace bulkhead {

// sd_notify(3) and sd_watchdog_enabled(3) without the library: datagrams to $NOTIFY_SOCKET. Does
// nothing where no service manager asked for it.
class Notifier {
 public:
  // Connects now, since the sandbox will not allow it later.
  Notifier();

  void ready() { send("READY=1"); }
  void stopping() { send("STOPPING=1"); }
  void watchdog() { send("WATCHDOG=1"); }

  // How often the manager wants to hear from us at the least.
  kj::Maybe<kj::Duration> watchdogInterval() const { return interval; }

 private:
  kj::Maybe<kj::AutoCloseFd> socket;
  kj::Maybe<kj::Duration> interval;

  void send(kj::StringPtr state);
};

}  // namespace bulkhead
