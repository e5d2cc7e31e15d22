// SPDX-License-Identifier: Apache-2.0
#include "idmd/ring/guest-offer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <kj/debug.h>

#include "idmd/ring/ring-stream.h"
#include "idmd/ring/xen-devices.h"

namespace bulkhead {
namespace {

constexpr uint16_t kDom0 = 0;

kj::AutoCloseFd openNode(const char* path) {
  int fd;
  KJ_SYSCALL(fd = ::open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK), path);
  return kj::AutoCloseFd(fd);
}

kj::AutoCloseFd duplicate(int fd) {
  int copy;
  KJ_SYSCALL(copy = fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return kj::AutoCloseFd(copy);
}

// Pages of the guest granted to dom0, revoked when this object goes. The kernel keeps a page that
// dom0 still maps until it lets go.
class GrantedPages {
 public:
  GrantedPages(int gntalloc, uint32_t pages) : gntalloc(gntalloc), pages(pages) {
    // A header of 16 bytes, then room for one reference a page.
    constexpr size_t references = offsetof(ioctl_gntalloc_alloc_gref, gref_ids);
    auto buffer = kj::heapArray<kj::byte>(references + pages * sizeof(uint32_t));
    memset(buffer.begin(), 0, buffer.size());
    ioctl_gntalloc_alloc_gref request{};
    request.domid = kDom0;
    request.flags = GNTALLOC_FLAG_WRITABLE;
    request.count = pages;
    memcpy(buffer.begin(), &request, references);
    KJ_SYSCALL(ioctl(gntalloc, IOCTL_GNTALLOC_ALLOC_GREF, buffer.begin()), "granting the ring");
    memcpy(&index, buffer.begin() + offsetof(ioctl_gntalloc_alloc_gref, index), sizeof index);
    grants = kj::heapArray<uint32_t>(pages);
    memcpy(grants.begin(), buffer.begin() + references, pages * sizeof(uint32_t));
  }

  ~GrantedPages() noexcept(false) {
    if (grants == nullptr) return;
    ioctl_gntalloc_dealloc_gref request{};
    request.index = index;
    request.count = pages;
    // The pages go with the descriptor if they do not go now.
    ioctl(gntalloc, IOCTL_GNTALLOC_DEALLOC_GREF, &request);
  }

  GrantedPages(GrantedPages&&) = default;
  KJ_DISALLOW_COPY(GrantedPages);

  ring::MappedPages map() {
    return ring::MappedPages(gntalloc, index, pages, ring::MappedPages::Access::readWrite);
  }

  // When the pages go, however that comes about, clears the byte at `offset` and raises an event.
  void announceEnd(size_t offset, uint32_t port) {
    ioctl_gntalloc_unmap_notify request{};
    request.index = index + offset;
    request.action = UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT;
    request.event_channel_port = port;
    KJ_SYSCALL(ioctl(gntalloc, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &request),
               "arranging the ring's end");
  }

  uint32_t controlGrant() const { return grants[0]; }
  kj::ArrayPtr<const uint32_t> dataGrants() const { return grants.slice(1, grants.size()); }

 private:
  int gntalloc;
  uint32_t pages;
  uint64_t index = 0;
  kj::Array<uint32_t> grants;
};

// An event-channel port that dom0 may bind to.
class OfferedPort {
 public:
  explicit OfferedPort(int evtchn) : evtchn(evtchn) {
    ioctl_evtchn_bind_unbound_port request{kDom0};
    int result;
    KJ_SYSCALL(result = ioctl(evtchn, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &request),
               "allocating an event channel");
    number = static_cast<uint32_t>(result);
  }
  ~OfferedPort() noexcept(false) {
    if (evtchn < 0) return;
    ioctl_evtchn_unbind request{number};
    ioctl(evtchn, IOCTL_EVTCHN_UNBIND, &request);
  }
  OfferedPort(OfferedPort&& other) : number(other.number), evtchn(other.evtchn) {
    other.evtchn = -1;
  }
  KJ_DISALLOW_COPY(OfferedPort);

  uint32_t number = 0;

 private:
  int evtchn;
};

}  // namespace

GuestDevices GuestDevices::open() {
  return {openNode("/dev/xen/gntalloc"), openNode("/dev/xen/evtchn"), openNode("/dev/xen/xenbus")};
}

GuestOffer::GuestOffer(kj::UnixEventPort& eventPort, kj::Timer& timer, GuestDevices devicesParam)
    : eventPort(eventPort),
      timer(timer),
      devices(kj::mv(devicesParam)),
      xenbus(eventPort, devices.xenbus) {}

kj::Promise<kj::Own<kj::AsyncIoStream>> GuestOffer::offer() {
  // Nobody may find the new page with the old port, or the other way round.
  co_await xenbus.remove("data/idm/event-channel");
  co_await xenbus.remove("data/idm/ring-ref");

  GrantedPages granted(devices.gntalloc, ring::pagesFor(ring::kDefaultOrder));
  OfferedPort port(devices.evtchn);
  auto pages = granted.map();
  ring::formatRing(pages.bytes(), granted.dataGrants());
  granted.announceEnd(offsetof(ring::ControlPage, guestAlive), port.number);

  auto controlGrant = granted.controlGrant();
  auto portNumber = port.number;
  auto events =
      kj::heap<ring::DeviceEventChannel>(eventPort, duplicate(devices.evtchn), portNumber);
  kj::Own<kj::AsyncIoStream> stream =
      kj::heap<ring::RingStream>(kj::mv(pages), ring::Side::guest, kj::mv(events), timer);
  // In this order after the stream: the grants, whose end raises an event, then the port.
  stream = stream.attach(kj::mv(granted), kj::mv(port));

  co_await xenbus.write("data/idm/ring-ref", kj::str(controlGrant));
  co_await xenbus.write("data/idm/event-channel", kj::str(portNumber));
  co_return kj::mv(stream);
}

}  // namespace bulkhead
