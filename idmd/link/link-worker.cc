// SPDX-License-Identifier: Apache-2.0
#include "idmd/link/link-worker.h"

#include <kj/debug.h>

#include "idmd/link/zone-link.h"
#include "idmd/ring/ring-stream.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {

kj::Promise<void> LinkWorkerServer::open(OpenContext context) {
  if (opened) fail(FailureCode::BUSY, "link", "this process has its ring already");
  opened = true;
  auto params = context.getParams();
  uint64_t offset = params.getMappingOffset();
  uint32_t pages = params.getMappingPages();
  uint32_t port = params.getEventPort();
  auto grants = co_await takeFd(params.getGrants(), "grants");
  auto events = co_await takeFd(params.getEvents(), "events");
  context.releaseParams();

  if (pages > ring::kMaxPages) fail(FailureCode::INVALID, "link", "no ring has so many pages");
  kj::Maybe<kj::Own<ring::RingStream>> stream;
  KJ_IF_MAYBE (refusal, kj::runCatchingExceptions([&]() {
                 ring::MappedPages memory(grants, offset, pages,
                                          ring::MappedPages::Access::readWrite);
                 auto channel = ring::openEventChannel(eventPort, kj::mv(events), port);
                 stream = kj::heap<ring::RingStream>(kj::mv(memory), ring::Side::host,
                                                     kj::mv(channel), timer);
               })) {
    fail(FailureCode::INVALID, "link", "the ring cannot be joined", refusal->getDescription());
  }
  context.getResults().setLink(
      kj::heap<ZoneLink>(kj::mv(KJ_ASSERT_NONNULL(stream)), eventPort, log));
}

}  // namespace bulkhead
