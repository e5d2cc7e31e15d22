// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/zone-server.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"
#include "services/zoned/console-sink.h"
#include "services/zoned/spec.h"
#include "services/zoned/stdio.h"
#include "services/zoned/workload-process.h"

namespace bulkhead {
namespace {

// A person waits for it, and a host may be emulated.
constexpr kj::Duration kAnswerDeadline = 10 * kj::SECONDS;

class ZoneServer final : public schema::Zone::Server {
 public:
  enum class Holder { anyone, maker };

  ZoneServer(kj::Own<Zone> zone, Holder holder) : zone(kj::mv(zone)), holder(holder) {}
  ~ZoneServer() noexcept(false) {
    if (holder == Holder::maker) zone->makerGone();
  }

  kj::Promise<void> info(InfoContext context) override {
    zone->record.writeTo(context.getResults().initInfo());
    return kj::READY_NOW;
  }

  kj::Promise<void> whenReady(WhenReadyContext context) override {
    co_await zone->whenReady();
    zone->record.writeTo(context.getResults().initInfo());
  }

  kj::Promise<void> start(StartContext context) override {
    auto files = co_await takeStdio(context.getParams().getStdio());
    co_await zone->whenReady();
    if (zone->record.state != ZoneState::READY || !zone->record.spec().getDeferStart() ||
        starting) {
      fail(FailureCode::BUSY, zone->record.name, "the zone's workload was started already");
    }
    starting = true;
    KJ_DEFER(starting = false);
    co_await zone->whenLinked();
    co_await startWithStdio(*zone, kj::mv(files));
    context.getResults().setProcess(makeWorkloadProcess(kj::addRef(*zone)));
  }

  kj::Promise<void> wait(WaitContext context) override {
    co_await zone->whenEnded();
    zone->record.writeTo(context.getResults().initInfo());
  }

  kj::Promise<void> exec(ExecContext context) override {
    auto params = context.getParams();
    checkProcess(params.getSpec());
    if (params.getSpec().getArguments().size() == 0) {
      fail(FailureCode::INVALID, "arguments", "there is no command to run");
    }
    auto files = co_await takeStdio(params.getStdio());
    co_await whenItRuns();
    context.getResults().setProcess(co_await execWithStdio(*zone, params.getSpec(), kj::mv(files)));
  }

  kj::Promise<void> logs(LogsContext context) override {
    auto params = context.getParams();
    auto files = co_await takeStdio(params.getStdio());
    co_await zone->whenReady();
    co_await zone->whenLinked();
    co_await logsToStdio(*zone, params.getOptions(), kj::mv(files));
  }

  kj::Promise<void> putFiles(PutFilesContext context) override {
    auto params = context.getParams();
    auto archive = co_await takeFd(params.getArchive(), "archive");
    co_await whenItRuns();
    co_await putFilesFrom(*zone, params.getDirectory(), kj::mv(archive));
  }

  kj::Promise<void> getFiles(GetFilesContext context) override {
    auto params = context.getParams();
    auto archive = co_await takeFd(params.getArchive(), "archive");
    co_await whenItRuns();
    co_await getFilesTo(*zone, params.getPath(), kj::mv(archive));
  }

  kj::Promise<void> destroy(DestroyContext) override { co_await zone->destroy(); }

  kj::Promise<void> stop(StopContext context) override {
    co_await zone->whenReady();
    if (zone->record.state == ZoneState::RUNNING) {
      co_await zone->whenLinked();
      auto request = KJ_ASSERT_NONNULL(zone->holdings.workload).stopRequest();
      request.setGraceMilliseconds(context.getParams().getGraceMilliseconds());
      co_await request.send();
      co_await zone->whenEnded();
    }
    zone->record.writeTo(context.getResults().initInfo());
  }

  kj::Promise<void> pause(PauseContext) override { co_await domain().pauseRequest().send(); }

  kj::Promise<void> unpause(UnpauseContext) override { co_await domain().unpauseRequest().send(); }

  kj::Promise<void> console(ConsoleContext context) override {
    auto params = context.getParams();
    co_await copyConsole(zone->services.provider, domain(), params.getMode(), params.getOutput());
  }

  kj::Promise<void> metrics(MetricsContext context) override {
    auto response = co_await inTime(agent().metricsRequest().send());
    context.getResults().setMetrics(response.getMetrics());
  }

  kj::Promise<void> processes(ProcessesContext context) override {
    auto response = co_await inTime(agent().processesRequest().send());
    context.getResults().setProcesses(response.getProcesses());
    context.getResults().setOmitted(response.getOmitted());
  }

 private:
  kj::Own<Zone> zone;
  Holder holder;
  bool starting = false;

  // Resolves when the zone is linked. Fails with `busy` where its workload does not run.
  kj::Promise<void> whenItRuns() {
    co_await zone->whenReady();
    if (zone->record.state == ZoneState::READY || zone->record.state == ZoneState::EXITED) {
      fail(FailureCode::BUSY, zone->record.name, "the zone's workload does not run");
    }
    co_await zone->whenLinked();
  }

  // Fails with `guestSilent` where the zone keeps whoever asks waiting.
  template <typename T>
  kj::Promise<T> inTime(kj::Promise<T> answer) {
    auto silent = zone->services.timer.afterDelay(kAnswerDeadline).then([this]() -> T {
      fail(FailureCode::GUEST_SILENT, zone->record.name, "the zone does not answer",
           "where it is paused, `bulkhead zone unpause` lets it go on");
    });
    return answer.exclusiveJoin(kj::mv(silent));
  }

  // The agent, as soon as there is one to be reached.
  schema::ZoneAgent::Client agent() { return linkedAgent(); }

  kj::Promise<schema::ZoneAgent::Client> linkedAgent() {
    co_await zone->whenLinked();
    co_return KJ_ASSERT_NONNULL(zone->holdings.agent);
  }

  schema::Domain::Client domain() {
    KJ_IF_MAYBE (present, zone->holdings.domain) {
      return *present;
    }
    fail(FailureCode::BUSY, zone->record.name, "the zone has no domain now");
  }
};

}  // namespace

schema::Zone::Client makeZone(kj::Own<Zone> zone) {
  return kj::heap<ZoneServer>(kj::mv(zone), ZoneServer::Holder::anyone);
}

schema::Zone::Client makeZoneOfMaker(kj::Own<Zone> zone) {
  return kj::heap<ZoneServer>(kj::mv(zone), ZoneServer::Holder::maker);
}

}  // namespace bulkhead
