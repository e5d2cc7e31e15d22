// SPDX-License-Identifier: Apache-2.0
#include "idmd/router.h"

#include <kj/debug.h>
#include <kj/refcount.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

// A link process that does not answer in this time will not.
constexpr kj::Duration kOpenDeadline = 10 * kj::SECONDS;

// DOMID_FIRST_RESERVED of xen.h: domains have smaller numbers. 0 is our own.
constexpr uint32_t kFirstReservedDomid = 0x7ff0;

void checkOffer(schema::RingOffer::Reader offer) {
  auto name = kj::str("domain ", offer.getDomid());
  if (offer.getDomid() == 0 || offer.getDomid() >= kFirstReservedDomid) {
    fail(FailureCode::INVALID, name, "no zone has this domain number");
  }
  if (offer.getEventPort() == 0) fail(FailureCode::INVALID, name, "no event channel has number 0");
}

}  // namespace

// The present link of every zone. Shared with the forwarders, which may outlive the router.
class RouterServer::Links final : public kj::Refcounted {
 public:
  kj::TreeMap<Uuid, LinkForwarder*> byZone;
};

// What zoned holds for one link. Dropping it cuts the connection to the link process, which then
// ends and thereby unmaps the ring.
class RouterServer::LinkForwarder final : public schema::Link::Server {
 public:
  LinkForwarder(kj::Own<Links> linksParam, Uuid zone, kj::Own<Connection> connection,
                schema::Link::Client link)
      : links(kj::mv(linksParam)), zone(zone), connection(kj::mv(connection)), link(kj::mv(link)) {
    links->byZone.insert(zone, this);
  }
  ~LinkForwarder() noexcept(false) { close(); }

  void close() {
    if (connection.get() == nullptr) return;
    connection = nullptr;
    links->byZone.erase(zone);
  }

  kj::Promise<void> agent(AgentContext context) override {
    return context.tailCall(link.agentRequest());
  }

  kj::Promise<void> whenClosed(WhenClosedContext) override {
    try {
      co_await link.whenClosedRequest().send();
    } catch (...) {
      // A link process that ended closed its ring.
      auto exception = kj::getCaughtExceptionAsKj();
      if (!isDisconnected(exception)) {
        kj::throwFatalException(kj::mv(exception));
      }
    }
  }

  kj::Promise<void> writer(WriterContext context) override {
    auto request = link.writerRequest();
    request.setFile(context.getParams().getFile());
    return context.tailCall(kj::mv(request));
  }

  kj::Promise<void> pump(PumpContext context) override {
    auto request = link.pumpRequest();
    auto params = context.getParams();
    request.setFile(params.getFile());
    request.setInto(params.getInto());
    context.releaseParams();
    return context.tailCall(kj::mv(request));
  }

 private:
  kj::Own<Links> links;
  Uuid zone;
  kj::Own<Connection> connection;
  schema::Link::Client link;
};

RouterServer::RouterServer(ring::RingDevices& devices, LinkStarter startLink, kj::Timer& timer,
                           Log& log)
    : devices(devices),
      startLink(kj::mv(startLink)),
      timer(timer),
      log(log),
      links(kj::refcounted<Links>()) {}

RouterServer::~RouterServer() noexcept(false) {}

kj::Promise<void> RouterServer::attach(AttachContext context) {
  auto params = context.getParams();
  Uuid zone;
  KJ_IF_MAYBE (id, Uuid::from(params.getZone())) {
    zone = *id;
  } else {
    fail(FailureCode::INVALID, "zone", "its id is not a UUID");
  }
  auto offer = params.getOffer();
  checkOffer(offer);
  KJ_IF_MAYBE (earlier, links->byZone.find(zone)) (*earlier)->close();

  auto bound = devices.bind(offer.getDomid(), offer.getEventPort());
  auto mapping = devices.prepare(offer.getDomid(), offer.getGref(), bound.port);

  kj::Own<Connection> connection;
  try {
    connection = startLink();
  } catch (...) {
    fail(FailureCode::UNREACHABLE, zone.text(), "no link process could be started",
         kj::getCaughtExceptionAsKj().getDescription());
  }
  auto request = connection->bootstrap<schema::LinkWorker>().openRequest();
  request.setGrants(makeFile(kj::mv(mapping.fd)));
  request.setMappingOffset(mapping.offset);
  request.setMappingPages(mapping.pages);
  request.setEvents(makeFile(kj::mv(bound.fd)));
  request.setEventPort(bound.port);
  auto opened =
      request.send().then([](capnp::Response<schema::LinkWorker::OpenResults>&& response) {
        return response.getLink();
      });
  kj::Maybe<schema::Link::Client> link;
  try {
    link = co_await timer.timeoutAfter(kOpenDeadline, kj::mv(opened));
  } catch (...) {
    auto exception = kj::getCaughtExceptionAsKj();
    if (isFailure(exception, FailureCode::INVALID)) kj::throwFatalException(kj::mv(exception));
    fail(FailureCode::UNREACHABLE, zone.text(), "the link process did not take the ring",
         exception.getDescription());
  }
  // Another call for the same zone may have come first meanwhile; the last one holds.
  KJ_IF_MAYBE (other, links->byZone.find(zone)) (*other)->close();
  context.getResults().setLink(kj::heap<LinkForwarder>(kj::addRef(*links), zone, kj::mv(connection),
                                                       kj::mv(KJ_ASSERT_NONNULL(link))));
  log.info("joined a zone's ring",
           {field("ZONE", zone.text()), field("DOMID", context.getParams().getOffer().getDomid())});
}

}  // namespace bulkhead
