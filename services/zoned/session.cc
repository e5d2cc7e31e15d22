// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/session.h"

#include "services/runtime/failure.h"
#include "services/runtime/progress.h"
#include "services/zoned/zone-server.h"

namespace bulkhead {
namespace {

constexpr kj::StringPtr kVersion = BULKHEAD_VERSION ""_kj;

class SessionServer final : public schema::Session::Server {
 public:
  SessionServer(Zones& zones, ZoneServices services, Viewer viewer)
      : zones(zones), services(services), viewer(viewer) {}

  kj::Promise<void> hostStatus(HostStatusContext context) override {
    auto response = co_await services.peers.hypervisor.get().statusRequest().send();
    context.getResults().setStatus(response.getStatus());
  }

  kj::Promise<void> pullImage(PullImageContext context) override {
    auto params = context.getParams();
    auto request = services.peers.images.get().pullRequest();
    request.setReference(params.getReference());
    request.setOptions(params.getOptions());
    // A sink in any case: imaged need not know that there are callers without one.
    Progress relay(services.timer, progressSinkOf(params));
    request.setProgress(relay.forwarder());
    auto image = co_await request.send();
    auto details = co_await image.getImage().infoRequest().send();
    context.getResults().setInfo(details.getInfo());
  }

  kj::Promise<void> listImages(ListImagesContext context) override {
    auto response = co_await services.peers.images.get().listRequest().send();
    context.getResults().setImages(response.getImages());
  }

  kj::Promise<void> findImage(FindImageContext context) override {
    auto request = services.peers.images.get().findRequest();
    request.setReference(context.getParams().getReference());
    auto found = co_await request.send();
    context.getResults().setImage(found.getImage());
  }

  kj::Promise<void> imageKeeper(ImageKeeperContext context) override {
    requireAdministrator("images");
    context.getResults().setKeeper(services.peers.images.get().keeperRequest().send().getKeeper());
    return kj::READY_NOW;
  }

  kj::Promise<void> removeImage(RemoveImageContext context) override {
    requireAdministrator(context.getParams().getReference());
    auto request = services.peers.images.get().removeRequest();
    request.setReference(context.getParams().getReference());
    co_await request.send();
  }

  kj::Promise<void> importImage(ImportImageContext context) override {
    auto params = context.getParams();
    requireAdministrator(params.getReference());
    auto request = services.peers.images.get().importLayoutRequest();
    request.setLayout(params.getLayout());
    request.setReference(params.getReference());
    Progress relay(services.timer, progressSinkOf(params));
    request.setProgress(relay.forwarder());
    auto image = co_await request.send();
    auto details = co_await image.getImage().infoRequest().send();
    context.getResults().setInfo(details.getInfo());
  }

  kj::Promise<void> createZone(CreateZoneContext context) override {
    auto params = context.getParams();
    auto zone = zones.create(viewer.user, params.getSpec(), progressSinkOf(params));
    context.getResults().setZone(makeZoneOfMaker(kj::mv(zone)));
    return kj::READY_NOW;
  }

  kj::Promise<void> listZones(ListZonesContext context) override {
    auto seen = zones.list(viewer);
    auto list = context.getResults().initZones(static_cast<uint>(seen.size()));
    for (uint i = 0; i < list.size(); ++i) seen[i]->record.writeTo(list[i]);
    return kj::READY_NOW;
  }

  kj::Promise<void> findZone(FindZoneContext context) override {
    context.getResults().setZone(makeZone(zones.find(viewer, context.getParams().getNameOrId())));
    return kj::READY_NOW;
  }

 private:
  Zones& zones;
  ZoneServices services;
  Viewer viewer;

  // What an image's name means, it means for everybody.
  void requireAdministrator(kj::StringPtr image) {
    if (viewer.role == Role::administrator) return;
    fail(FailureCode::DENIED, printable(image, 256),
         "images are everybody's: only an administrator changes what there is",
         "`bulkhead image pull` needs no such right");
  }
};

class PlatformServer final : public schema::Platform::Server {
 public:
  PlatformServer(Zones& zones, ZoneServices services, Viewer viewer)
      : zones(zones), services(services), viewer(viewer) {}

  kj::Promise<void> version(VersionContext context) override {
    context.getResults().setVersion(kVersion);
    return kj::READY_NOW;
  }

  kj::Promise<void> session(SessionContext context) override {
    if (viewer.role == Role::none) {
      services.log.warning("denied a session", {field("PEER_UID", viewer.user)});
      fail(FailureCode::DENIED, kj::str("user ", viewer.user), "may not use Bulkhead on this host",
           "join the group bulkhead, or have an administrator add you to "
           "/etc/bulkhead/access.toml");
    }
    context.getResults().setSession(kj::heap<SessionServer>(zones, services, viewer));
    return kj::READY_NOW;
  }

 private:
  Zones& zones;
  ZoneServices services;
  Viewer viewer;
};

}  // namespace

capnp::Capability::Client makePlatform(Zones& zones, ZoneServices services, Viewer viewer) {
  return schema::Platform::Client(kj::heap<PlatformServer>(zones, services, viewer));
}

}  // namespace bulkhead
