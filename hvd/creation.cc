// SPDX-License-Identifier: Apache-2.0
#include "hvd/creation.h"

#include <kj/debug.h>

#include "hvd/backend-state.h"
#include "hvd/guest-files.h"
#include "hvd/host.h"
#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

constexpr uint64_t kKernelLimit = 256u << 20;
constexpr uint64_t kInitrdLimit = 256u << 20;

// blkback has its thread to start and the image to open; hosts under load take their time.
constexpr kj::Duration kBackendPatience = 20 * kj::SECONDS;

GuestKind chooseKind(Virtualization wanted, const KernelFacts& facts, const Capabilities& host) {
  bool pvh = facts.pvh && host.pvh;
  bool pv = facts.pv && host.pv;
  if (wanted == Virtualization::PVH && !host.pvh) {
    fail(FailureCode::UNSUPPORTED, "virtualization",
         "this machine has no hardware-assisted guests with nested paging",
         "leave the choice to the host, or take PV");
  }
  if (wanted == Virtualization::PV && !host.pv) {
    fail(FailureCode::UNSUPPORTED, "virtualization", "this hypervisor has no PV guests");
  }
  if (wanted != Virtualization::PV && pvh) return GuestKind::pvh;
  if (wanted != Virtualization::PVH && pv) return GuestKind::pv;
  fail(FailureCode::INVALID, "kernel", "it has no entry for a kind of guest this host can run");
}

// The state of one creation; lives as long as the coroutine that drives it.
class Creator {
 public:
  Creator(Machine& machine, DomainConfig config, DomainFiles files)
      : machine(machine), config(kj::mv(config)), files(kj::mv(files)) {}

  kj::Promise<Creation> run() {
    auto start = machine.timer.now();
    // Megabytes to copy: not for the event loop.
    co_await machine.worker.run([this]() { readFiles(); });
    prepare();
    start = phase("files", start);
    co_await machine.journal.write(record);
    phase("begin", start);
    kj::Maybe<kj::Exception> failed;
    try {
      co_await build();
      co_await attach();
    } catch (...) {
      failed = kj::getCaughtExceptionAsKj();
    }
    KJ_IF_MAYBE (exception, failed) {
      diskHolders.clear();
      co_await undo();
      kj::throwFatalException(kj::mv(*exception));
    }
    co_return Creation{kj::mv(record), kj::mv(diskHolders), kj::mv(phases)};
  }

 private:
  Machine& machine;
  DomainConfig config;
  DomainFiles files;
  kj::Array<const kj::byte> kernel;
  kj::Array<const kj::byte> initrd;
  KernelFacts facts{};
  BuildOrder order{};
  JournalRecord record;
  kj::Maybe<BuiltDomain> built;
  kj::Vector<DiskPlan> disks;
  kj::Vector<Creation::Holder> diskHolders;
  kj::Vector<BuildPhase> phases;

  // On the worker's thread, while the event loop's waits.
  void readFiles() {
    kernel = stableBytes(files.kernel, "kernel", kKernelLimit);
    KJ_IF_MAYBE (file, files.initrd) {
      initrd = stableBytes(*file, "initrd", kInitrdLimit);
    }
    facts = verifyKernel(kernel);
  }

  // Everything that can be refused before anything is done.
  void prepare() {
    auto host = machine.xen.machine();
    auto kind = chooseKind(config.virtualization, facts, capabilitiesOf(host));
    order = BuildOrder{
        config.uuid, kind, config.memoryMiB, config.maxVcpus, kj::str(config.commandLine), kernel,
        initrd,      facts};
    checkMemory(order, freeBytesOf(host));

    record.uuid = config.uuid;
    record.name = kj::str(config.name);
    record.state = JournalRecord::State::CREATING;
    record.pvh = kind == GuestKind::pvh;
    record.memoryMiB = config.memoryMiB;
    record.maxMemoryMiB = config.maxMemoryMiB;
    record.vcpus = config.vcpus;
    record.maxVcpus = config.maxVcpus;
    for (auto& vif : config.vifs) {
      record.vifs.add(VifConfig{vif.index, kj::str(vif.mac), vif.backendDomain, vif.mtu});
    }
  }

  kj::Promise<void> build() {
    built = co_await machine.worker.run(
        [&xen = machine.workerXen, &order = order]() { return buildDomain(xen, order); });
    auto& result = KJ_ASSERT_NONNULL(built);
    record.domid = result.domid;
    record.consoleFrame = result.consoleFrame;
    record.consolePort = result.consolePort;
    for (auto& spent : result.phases) phases.add(spent);
    // The guest has its own copies now.
    kernel = nullptr;
    initrd = nullptr;
  }

  kj::Promise<void> attach() {
    auto& result = KJ_ASSERT_NONNULL(built);
    auto start = machine.timer.now();
    for (size_t i = 0; i < config.disks.size(); ++i) {
      auto& disk = config.disks[i];
      auto device = machine.loops.attach(kj::mv(files.disks[i]), disk.access, disk.name);
      disks.add(DiskPlan{disk.device, kj::str(disk.name), disk.access, device.major, device.minor});
      record.disks.add(JournalDisk{kj::str(disk.name), disk.device, device.loop});
      diskHolders.add(Creation::Holder{disk.device, kj::mv(device.holder)});
    }
    record.state = JournalRecord::State::ALIVE;
    DomainPlan plan{record.domid,
                    record.uuid,
                    kj::str(record.name),
                    uint64_t{record.memoryMiB} * 1024,
                    record.vcpus,
                    record.maxVcpus,
                    result.consoleFrame,
                    result.consolePort,
                    result.xenstoreFrame,
                    result.xenstorePort,
                    disks,
                    record.vifs};
    co_await machine.xenstore.commit(domainNodes(plan));
    start = phase("nodes", start);
    co_await machine.xenstore.introduce(record.domid, result.xenstoreFrame, result.xenstorePort);
    start = phase("introduce", start);
    auto waits = kj::heapArrayBuilder<kj::Promise<void>>(disks.size());
    for (auto& disk : disks) {
      waits.add(whenBackendReady(machine.xenstore, machine.timer,
                                 diskBackendPath(record.domid, disk.device), kBackendPatience));
    }
    co_await kj::joinPromises(waits.finish());
    start = phase("disks", start);
    // Complete: from here on a restart of this process keeps it.
    co_await machine.journal.write(record);
    phase("journal", start);
  }

  kj::TimePoint phase(kj::StringPtr name, kj::TimePoint start) {
    auto now = machine.timer.now();
    phases.add(BuildPhase{name, static_cast<uint64_t>((now - start) / kj::NANOSECONDS)});
    return now;
  }

  kj::Promise<void> undo() {
    try {
      if (built == nullptr) {
        co_await machine.journal.remove(record.uuid);
      } else {
        record.state = JournalRecord::State::CREATING;
        // A domain that is torn down forgets itself in the journal too.
        auto domain = kj::refcounted<Domain>(machine, kj::mv(record), [](const Uuid&) {});
        co_await domain->destroy();
      }
    } catch (...) {
      machine.log.error("undoing a failed creation failed; the next start goes on with it",
                        {field("DOMAIN", config.uuid),
                         field("ERROR", failureOf(kj::getCaughtExceptionAsKj()).describe())});
    }
  }
};

kj::Promise<Creation> drive(kj::Own<Creator> creator) { co_return co_await creator->run(); }

}  // namespace

kj::Promise<Creation> createDomain(Machine& machine, DomainConfig config, DomainFiles files) {
  return drive(kj::heap<Creator>(machine, kj::mv(config), kj::mv(files)));
}

}  // namespace bulkhead::hvd
