// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/launch.h"

#include <kj/debug.h>

#include "services/runtime/files.h"
#include "services/zoned/launch-images.h"
#include "services/zoned/phase-clock.h"

namespace bulkhead {
namespace {

using PlanResponse = capnp::Response<schema::Network::AttachResults>;
using OfferResponse = capnp::Response<schema::Domain::WhenRingOfferedResults>;

constexpr uint32_t kConsoleTailBytes = 2048;

// Lets a long step end early when the zone's end is requested.
template <typename T>
kj::Promise<T> orEnd(Zone& zone, kj::Promise<T> step) {
  if constexpr (std::is_void_v<T>) {
    return step.exclusiveJoin(zone.whenEndRequested());
  } else {
    return step.exclusiveJoin(zone.whenEndRequested().then([]() -> T { KJ_UNREACHABLE; }));
  }
}

void endEarly(Zone& zone) {
  if (zone.endRequested()) {
    fail(FailureCode::CANCELLED, zone.record.name, "the zone was destroyed while it was made");
  }
}

// Runs both at the same time and fails as soon as one does, but never before `unbroken` is over:
// only then is it known what has to be undone.
kj::Promise<void> both(kj::Promise<void> step, kj::Promise<void> unbroken) {
  auto whole = unbroken.fork();
  kj::Maybe<kj::Exception> failed;
  try {
    auto steps = kj::heapArrayBuilder<kj::Promise<void>>(2);
    steps.add(kj::mv(step));
    steps.add(whole.addBranch());
    co_await kj::joinPromisesFailFast(steps.finish());
  } catch (...) {
    failed = kj::getCaughtExceptionAsKj();
  }
  KJ_IF_MAYBE (exception, failed) {
    co_await whole.addBranch().catch_([](kj::Exception&&) {});
    kj::throwFatalException(kj::mv(*exception));
  }
}

class Launch {
 public:
  Launch(Zone& zone, Progress& progress) : zone(zone), progress(progress) {}

  kj::Promise<void> run() {
    // Images and address; then a kernel that boots while its link is configured.
    co_await both(orEnd(zone, fetchImages()), attachNetwork());
    endEarly(zone);
    co_await createDomain();
    endEarly(zone);
    co_await both(orEnd(zone, bootToAgent()), connectNetwork());
    co_await configure();
    co_await prepareWorkload();
  }

 private:
  Zone& zone;
  Progress& progress;
  LaunchImages images;
  kj::String stopSignal;
  kj::Maybe<PlanResponse> network;

  ZoneRecord& record() { return zone.record; }
  ZoneServices& services() { return zone.services; }
  PhaseClock phase(kj::StringPtr name) {
    progress.report(name, zone.record.name, 0, 0);
    return PhaseClock(services().clock, record(), name);
  }

  kj::Promise<void> fetchImages() {
    auto clock = phase("image");
    images = co_await gatherImages(services().peers.images.get(), record(), progress);
    stopSignal = kj::mv(images.stopSignal);
    zone.holdings.images = kj::mv(images.leases);
    record().imageDigests = kj::mv(images.digests);
    clock.done();
    zone.save();
  }

  kj::Promise<void> attachNetwork() {
    if (record().spec().getNetwork() == schema::ZoneSpec::NetworkMode::NONE) co_return;
    auto clock = PhaseClock(services().clock, record(), "network");
    services().store.begin(record().id, Step::network);
    auto request = services().peers.network.get().attachRequest();
    request.setZone(record().id.data());
    network = co_await request.send();
    auto plan = KJ_ASSERT_NONNULL(network).getPlan();
    for (kj::StringPtr address : plan.getAddresses()) {
      // Without the prefix length: people want to type it.
      auto slash = address.findFirst('/').orDefault(address.size());
      record().addresses.add(printable(address.slice(0, slash), 64));
    }
    clock.done();
  }

  // Not to be interrupted: only a call that came back says whether there is a domain.
  kj::Promise<void> createDomain() {
    auto clock = phase("domain");
    auto request = services().peers.hypervisor.get().createDomainRequest();
    fillDomainSpec(request.initSpec());
    services().store.begin(record().id, Step::domain);
    auto response = co_await request.send();
    auto domain = response.getDomain();
    zone.holdings.domain = domain;
    for (auto step : response.getPhases()) {
      record().phases.add(
          Phase{kj::str("domain.", printable(step.getName(), 32)), step.getNanoseconds()});
    }
    auto details = co_await domain.infoRequest().send();
    record().domid = details.getInfo().getDomid();
    record().virtualization = details.getInfo().getVirtualization();
    clock.done();
    zone.save();
    // The domain has its own descriptors from here on.
    images = LaunchImages();
  }

  void fillDomainSpec(schema::DomainSpec::Builder spec) {
    auto wanted = record().spec();
    spec.setUuid(record().id.data());
    spec.setName(record().name);
    spec.setKernel(makeFile(kj::mv(images.kernel)));
    spec.setInitrd(makeFile(kj::mv(images.initrd)));
    kj::StringPtr extra = wanted.getKernelOptions().asReader();
    spec.setCommandLine(
        kj::str(services().config.kernelOptions, extra.size() > 0 ? " " : "", extra));
    spec.setMemoryMiB(wanted.getMemoryMiB());
    spec.setVcpus(wanted.getVcpus());
    spec.setVirtualization(wanted.getVirtualization());
    auto disks = spec.initDisks(2);
    fillDisk(disks[0], "xvda", kj::mv(images.root));
    fillDisk(disks[1], "xvdb", kj::mv(images.addons));
    KJ_IF_MAYBE (attached, network) {
      auto plan = attached->getPlan();
      auto vif = spec.initInterfaces(1)[0];
      vif.setIndex(plan.getIndex());
      vif.setMac(plan.getMac());
      vif.setBackendDomain(plan.getBackendDomain());
      vif.setMtu(plan.getMtu());
    }
  }

  static void fillDisk(schema::DiskSpec::Builder disk, kj::StringPtr name, kj::AutoCloseFd image) {
    disk.setName(name);
    disk.setImage(makeFile(kj::mv(image)));
    disk.setAccess(schema::DiskSpec::Access::READ_ONLY);
  }

  schema::Domain::Client domain() { return KJ_ASSERT_NONNULL(zone.holdings.domain); }

  kj::Promise<void> connectNetwork() {
    KJ_IF_MAYBE (attached, network) {
      auto clock = PhaseClock(services().clock, record(), "link");
      auto index = attached->getPlan().getIndex();
      auto connect = attached->getAttachment().connectRequest();
      connect.setDomid(record().domid);
      co_await connect.send();
      auto open = domain().connectVifRequest();
      open.setIndex(index);
      co_await open.send();
      clock.done();
    }
  }

  kj::Promise<void> bootToAgent() {
    auto bootClock = phase("boot");
    co_await domain().unpauseRequest().send();
    auto offer = co_await ringOffer();
    bootClock.done();
    auto ringClock = phase("ring");
    co_await untilAnswered(attachRing(zone, offer.getOffer()), "its agent did not answer");
    ringClock.done();
  }

  kj::Promise<OfferResponse> ringOffer() {
    auto request = domain().whenRingOfferedRequest();
    request.setAfter(0);
    return domainAlive(
        untilAnswered(kj::Promise<OfferResponse>(request.send()), "it did not offer its ring"));
  }

  // Fails with `guestCrashed` when the domain ends first.
  template <typename T>
  kj::Promise<T> domainAlive(kj::Promise<T> step) {
    auto ended = domain().whenEndedRequest().send().then(
        [this](capnp::Response<schema::Domain::WhenEndedResults>&& response) -> T {
          auto end = response.getEnd();
          kj::throwFatalException(guestEnded(end).toException());
        });
    return step.exclusiveJoin(kj::mv(ended));
  }

  Failure guestEnded(schema::DomainEnd::Reader end) {
    auto tail = printableTail(end.getConsoleTail());
    return failure(FailureCode::GUEST_CRASHED, record().name,
                   kj::str("the zone's kernel ended before its agent answered",
                           tail.size() > 0 ? "; its console ends with:\n" : "", tail),
                   "try more memory, or another kernel image");
  }

  // Fails with `guestSilent`, the console's end included, when the boot deadline passes first.
  template <typename T>
  kj::Promise<T> untilAnswered(kj::Promise<T> step, kj::StringPtr what) {
    auto& timer = services().timer;
    auto deadline = services().config.bootDeadline;
    auto silent = timer.afterDelay(deadline).then([this, what, deadline]() {
      auto request = domain().consoleTailRequest();
      request.setBytes(kConsoleTailBytes);
      return request.send().then(
          [this, what, deadline](auto&& response) -> T {
            guestSilent(what, deadline, response.getText());
          },
          [this, what, deadline](kj::Exception&&) -> T { guestSilent(what, deadline, ""); });
    });
    return step.exclusiveJoin(kj::mv(silent));
  }

  [[noreturn]] void guestSilent(kj::StringPtr what, kj::Duration deadline, kj::StringPtr console) {
    auto tail = printableTail(console);
    fail(FailureCode::GUEST_SILENT, record().name,
         kj::str("the zone runs, but ", what, " within ", deadline / kj::SECONDS, " s",
                 tail.size() > 0 ? "; its console ends with:\n" : "", tail),
         "is the system image one of Bulkhead's? boot-deadline-seconds in zoned.toml gives a slow "
         "host more time");
  }

  // Lines stay lines; everything else that is no text is escaped.
  static kj::String printableTail(kj::StringPtr text) {
    auto begin = text.size() > kConsoleTailBytes ? text.size() - kConsoleTailBytes : 0;
    kj::Vector<kj::String> lines;
    for (size_t at = begin; at < text.size();) {
      auto rest = text.slice(at);
      auto length = rest.findFirst('\n').orDefault(rest.size());
      lines.add(printable(rest.slice(0, length), 512));
      at += length + 1;
    }
    return kj::strArray(lines, "\n");
  }

  kj::Promise<void> configure() {
    auto clock = phase("configure");
    auto request = KJ_ASSERT_NONNULL(zone.holdings.agent).configureRequest();
    auto config = request.initConfig();
    config.setHostname(record().hostname());
    KJ_IF_MAYBE (attached, network) {
      auto plan = attached->getPlan();
      config.initInterfaces(1).setWithCaveats(0, plan);
      config.setNameservers(plan.getNameservers());
    }
    co_await orEnd(zone, domainAlive(request.send().ignoreResult()));
    clock.done();
  }

  kj::Promise<void> prepareWorkload() {
    auto clock = phase("workload");
    auto request = KJ_ASSERT_NONNULL(zone.holdings.agent).createWorkloadRequest();
    auto spec = request.initSpec();
    spec.setId(kWorkloadId);
    spec.setRootDisk("xvda");
    spec.setProcess(record().spec().getProcess().asReader());
    kj::StringPtr wantedSignal = record().spec().getStopSignal().asReader();
    spec.setStopSignal(wantedSignal.size() > 0 ? wantedSignal : stopSignal.asPtr());
    spec.setSettings(record().spec().getContainer().asReader());
    spec.setReadOnlyRoot(record().spec().getReadOnlyRoot());
    if (record().spec().getNetwork() == schema::ZoneSpec::NetworkMode::NONE) {
      spec.setNetworkMode(schema::WorkloadSpec::NetworkMode::NONE);
    }
    auto created = co_await orEnd(zone, domainAlive(kj::Promise<CreatedResponse>(request.send())));
    zone.holdings.workload = created.getWorkload();
    clock.done();
    record().readyNanoseconds = unixNanoseconds();
    if (record().spec().getDeferStart()) {
      zone.enter(ZoneState::READY);
    } else {
      // Ready and running at once: whoever waits is told as well when the command cannot be run.
      capnp::MallocMessageBuilder none;
      co_await orEnd(zone, startWorkload(zone, none.initRoot<schema::Stdio>().asReader()));
    }
  }

  using CreatedResponse = capnp::Response<schema::ZoneAgent::CreateWorkloadResults>;
};

}  // namespace

kj::Promise<void> launchZone(Zone& zone, Progress& progress) {
  Launch launch(zone, progress);
  co_await launch.run();
}

kj::Promise<void> startWorkload(Zone& zone, schema::Stdio::Reader stdio) {
  auto request = KJ_ASSERT_NONNULL(zone.holdings.workload).startRequest();
  request.setStdio(stdio);
  auto started = co_await request.send();
  zone.holdings.process = started.getProcess();
  zone.enter(ZoneState::RUNNING);
}

kj::Promise<void> attachRing(Zone& zone, schema::RingOffer::Reader offer) {
  auto epoch = offer.getEpoch();
  auto request = zone.services.peers.rings.get().attachRequest();
  request.setZone(zone.record.id.data());
  request.setOffer(offer);
  auto attached = co_await request.send();
  auto link = attached.getLink();
  auto agent = link.agentRequest().send().getAgent();
  auto answer = co_await agent.infoRequest().send();
  zone.record.kernelVersion = printable(answer.getInfo().getKernelVersion(), 128);
  zone.holdings.link = kj::mv(link);
  zone.holdings.agent = kj::mv(agent);
  zone.holdings.ringEpoch = epoch;
}

}  // namespace bulkhead
