// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/workload-process.h"

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

class WorkloadProcess final : public schema::Process::Server {
 public:
  explicit WorkloadProcess(kj::Own<Zone> zone) : zone(kj::mv(zone)) {}

  kj::Promise<void> wait(WaitContext context) override {
    co_await zone->whenEnded();
    KJ_IF_MAYBE (status, zone->record.exit) {
      status->writeTo(context.getResults().initStatus());
    } else {
      // Destroyed or crashed: the failure is known once the zone was taken apart.
      while (zone->record.state == ZoneState::DESTROYING) co_await zone->nextChange();
      kj::throwFatalException(zone->failureException());
    }
  }

  kj::Promise<void> signal(SignalContext context) override {
    auto request = process().signalRequest();
    request.setNumber(context.getParams().getNumber());
    co_await request.send();
  }

  kj::Promise<void> stdin(StdinContext) override {
    fail(FailureCode::BUSY, zone->record.name,
         "the process's input is the descriptor it was given");
  }

  kj::Promise<void> resize(ResizeContext context) override {
    auto request = process().resizeRequest();
    request.setSize(context.getParams().getSize());
    co_await request.send();
  }

  kj::Promise<void> info(InfoContext context) override {
    auto response = co_await process().infoRequest().send();
    context.getResults().setPid(response.getPid());
  }

 private:
  kj::Own<Zone> zone;

  schema::Process::Client process() {
    KJ_IF_MAYBE (present, zone->holdings.process) {
      return *present;
    }
    kj::throwFatalException(zone->failureException());
  }
};

}  // namespace

schema::Process::Client makeWorkloadProcess(kj::Own<Zone> zone) {
  return kj::heap<WorkloadProcess>(kj::mv(zone));
}

}  // namespace bulkhead
