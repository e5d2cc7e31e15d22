// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/image-leases.h"

#include "services/runtime/back-off.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr kj::Duration kFirstWait = 100 * kj::MILLISECONDS;
constexpr kj::Duration kLongestWait = 30 * kj::SECONDS;

kj::Promise<schema::Image::Client> lease(Zone& zone, kj::StringPtr digest) {
  auto request = zone.services.peers.images.get().leaseRequest();
  request.setManifestDigest(digest);
  auto response = co_await request.send();
  co_return response.getImage();
}

// Takes hold of all of them; what is not there any more is told and left out.
kj::Promise<kj::Vector<schema::Image::Client>> leaseAll(Zone& zone) {
  kj::Vector<schema::Image::Client> images;
  for (const auto& digest : zone.record.imageDigests) {
    try {
      images.add(co_await lease(zone, digest));
    } catch (...) {
      auto exception = kj::getCaughtExceptionAsKj();
      if (!isFailure(exception, FailureCode::NOT_FOUND)) {
        kj::throwFatalException(kj::mv(exception));
      }
      // The zone runs on what its domain holds open.
      zone.services.log.warning("an image of a zone that runs is not there any more",
                                {field("ZONE", zone.record.id), field("MANIFEST", digest)});
    }
  }
  co_return kj::mv(images);
}

}  // namespace

kj::Promise<void> keepImages(Zone& zone) {
  auto& peer = zone.services.peers.images;
  BackOff backOff(zone.services.timer, kFirstWait, kLongestWait);
  for (;;) {
    bool held = false;
    kj::Promise<void> gone = kj::READY_NOW;
    try {
      // Of the connection that the images are to be held through, not of one that follows it.
      peer.get();
      gone = peer.onDisconnect();
      auto images = co_await leaseAll(zone);
      zone.holdings.images = kj::mv(images);
      held = true;
    } catch (...) {
      auto problem = failureOf(kj::getCaughtExceptionAsKj());
      zone.services.log.warning(
          "the images of a zone that runs cannot be held yet",
          {field("ZONE", zone.record.id), field("ERROR", problem.describe())});
    }
    if (held) {
      co_await gone.catch_([](kj::Exception&&) {});
      backOff.reset();
    } else {
      co_await backOff.wait();
    }
  }
}

}  // namespace bulkhead
