// SPDX-License-Identifier: Apache-2.0
#include "idmd/ring/grant-mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <kj/debug.h>

#include "idmd/ring/mapped-pages.h"
#include "idmd/ring/ring.h"
#include "idmd/ring/xen-devices.h"
#include "services/runtime/failure.h"

namespace bulkhead::ring {
namespace {

kj::AutoCloseFd openNode(const char* path) {
  int fd;
  KJ_SYSCALL(fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK), path);
  return kj::AutoCloseFd(fd);
}

// Enters grants of one domain into a gntdev descriptor's table; gives the offset to map them at.
// The hypervisor is asked only at mmap: a reference that is not ours to map is refused there.
uint64_t enter(int gntdev, uint32_t domid, kj::ArrayPtr<const uint32_t> grants) {
  constexpr size_t references = offsetof(ioctl_gntdev_map_grant_ref, refs);
  auto buffer =
      kj::heapArray<kj::byte>(references + grants.size() * sizeof(ioctl_gntdev_grant_ref));
  memset(buffer.begin(), 0, buffer.size());
  auto count = static_cast<uint32_t>(grants.size());
  memcpy(buffer.begin(), &count, sizeof count);
  for (size_t i = 0; i < grants.size(); ++i) {
    ioctl_gntdev_grant_ref reference{domid, grants[i]};
    memcpy(buffer.begin() + references + i * sizeof reference, &reference, sizeof reference);
  }
  KJ_SYSCALL(ioctl(gntdev, IOCTL_GNTDEV_MAP_GRANT_REF, buffer.begin()), "entering grants");
  uint64_t offset;
  memcpy(&offset, buffer.begin() + offsetof(ioctl_gntdev_map_grant_ref, index), sizeof offset);
  return offset;
}

Offer takeOffer(uint32_t domid, uint32_t controlGrant) {
  auto gntdev = openNode("/dev/xen/gntdev");
  uint64_t offset = enter(gntdev, domid, kj::arrayPtr(&controlGrant, 1));
  kj::Maybe<MappedPages> page;
  KJ_IF_MAYBE (refusal, kj::runCatchingExceptions([&]() {
                 page.emplace(gntdev, offset, 1, MappedPages::Access::readOnly);
               })) {
    fail(FailureCode::INVALID, kj::str("domain ", domid),
         "the ring's control page cannot be mapped", refusal->getDescription());
  }
  KJ_IF_MAYBE (offer, readOffer(KJ_ASSERT_NONNULL(page).bytes())) {
    return *offer;
  }
  fail(FailureCode::INVALID, kj::str("domain ", domid), "the control page holds no ring's offer");
}

}  // namespace

BoundPort XenRingDevices::bind(uint32_t domid, uint32_t remotePort) {
  auto evtchn = openNode("/dev/xen/evtchn");
  ioctl_evtchn_restrict_domid restriction{static_cast<domid_t>(domid)};
  KJ_SYSCALL(ioctl(evtchn, IOCTL_EVTCHN_RESTRICT_DOMID, &restriction));
  ioctl_evtchn_bind_interdomain request{domid, remotePort};
  int port = ioctl(evtchn, IOCTL_EVTCHN_BIND_INTERDOMAIN, &request);
  if (port < 0) {
    fail(FailureCode::INVALID, kj::str("domain ", domid),
         "the offered event channel cannot be bound", strerror(errno));
  }
  return {kj::mv(evtchn), static_cast<uint32_t>(port)};
}

GrantMapping XenRingDevices::prepare(uint32_t domid, uint32_t controlGrant, uint32_t eventPort) {
  Offer offer = takeOffer(domid, controlGrant);
  uint32_t grants[kMaxPages];
  grants[0] = controlGrant;
  memcpy(grants + 1, offer.grants, offer.dataPages * sizeof grants[0]);
  uint32_t pages = 1 + offer.dataPages;

  auto gntdev = openNode("/dev/xen/gntdev");
  uint64_t offset = enter(gntdev, domid, kj::arrayPtr(grants, pages));
  ioctl_gntdev_unmap_notify end{};
  end.index = offset + offsetof(ControlPage, hostAlive);
  end.action = UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT;
  end.event_channel_port = eventPort;
  KJ_SYSCALL(ioctl(gntdev, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &end), "arranging the mapping's end");
  return {kj::mv(gntdev), offset, pages};
}

}  // namespace bulkhead::ring
