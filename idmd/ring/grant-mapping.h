// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>

#include <cstdint>

namespace bulkhead::ring {

// A guest's ring, ready to be mapped once by whoever gets the descriptor.
struct GrantMapping {
  kj::AutoCloseFd fd;  // of gntdev; holds this mapping's record and nothing else
  uint64_t offset;     // to pass to mmap
  uint32_t pages;      // control page first
};

// An event-channel port joined to a guest's, on a descriptor that can do nothing else.
struct BoundPort {
  kj::AutoCloseFd fd;  // of evtchn, restricted to the guest's domain
  uint32_t port;
};

// What dom0 needs of Xen to join a ring. The real one is `XenRingDevices`; tests have their own.
class RingDevices {
 public:
  virtual ~RingDevices() noexcept(false) {}

  // Joins the port `remotePort` that the domain left unbound for dom0. Fails with `invalid` when
  // there is no such port.
  virtual BoundPort bind(uint32_t domid, uint32_t remotePort) = 0;

  // Reads the offer in the control page behind `controlGrant` and prepares a mapping of the whole
  // ring, all or nothing, for one `mmap` in any process. When that mapping goes, the guest sees its
  // liveness byte cleared and gets an event through `eventPort`, which must be bound already. Fails
  // with `invalid` when the page cannot be mapped or holds no offer.
  virtual GrantMapping prepare(uint32_t domid, uint32_t controlGrant, uint32_t eventPort) = 0;
};

// Opens /dev/xen/gntdev and /dev/xen/evtchn anew for every ring: each descriptor then holds the
// authority over one ring of one domain.
class XenRingDevices final : public RingDevices {
 public:
  BoundPort bind(uint32_t domid, uint32_t remotePort) override;
  GrantMapping prepare(uint32_t domid, uint32_t controlGrant, uint32_t eventPort) override;
};

}  // namespace bulkhead::ring
