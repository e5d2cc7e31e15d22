// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/io.h>
#include <kj/timer.h>

#include "idmd/ring/xenbus-client.h"

namespace bulkhead {

// What a zone's agent needs to offer a ring. Opened by whoever starts the agent, so that the agent
// itself needs no path: each with O_RDWR | O_CLOEXEC | O_NONBLOCK.
struct GuestDevices {
  kj::AutoCloseFd gntalloc;  // /dev/xen/gntalloc
  kj::AutoCloseFd evtchn;    // /dev/xen/evtchn
  kj::AutoCloseFd xenbus;    // /dev/xen/xenbus

  // Opens the three nodes. Throws with the node's name where one cannot be opened.
  static GuestDevices open();
};

// The zone's half of the messaging ring: allocates pages of its own memory, grants them to dom0,
// and says in xenstore where they are (data/idm/ring-ref, then data/idm/event-channel, whose
// appearance is the signal that the ring can be mapped).
class GuestOffer {
 public:
  GuestOffer(kj::UnixEventPort& eventPort, kj::Timer& timer, GuestDevices devices);
  KJ_DISALLOW_COPY_AND_MOVE(GuestOffer);

  // Offers a fresh ring. Resolves once the offer is published; dom0 may attach at any later time,
  // and what is written before then waits in the ring. The stream ends (end of file, DISCONNECTED
  // on write, `whenWriteDisconnected`) when dom0 leaves. Call `offer` again after that, once the
  // old stream has been dropped: the new offer has fresh pages and replaces the old one's nodes.
  //
  // The stream must be dropped before this object is. Throws when a device refuses, each error
  // naming the step.
  kj::Promise<kj::Own<kj::AsyncIoStream>> offer();

 private:
  kj::UnixEventPort& eventPort;
  kj::Timer& timer;
  GuestDevices devices;
  XenbusClient xenbus;
};

}  // namespace bulkhead
