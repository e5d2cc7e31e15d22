// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/testing/mock-world.h"

#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"
#include "services/zoned/testing/mock-agent.h"

namespace bulkhead::testing {
namespace {

using MockDomain = MockWorld::MockDomain;

kj::AutoCloseFd pageFile() {
  int fd;
  KJ_SYSCALL(fd = memfd_create("image", MFD_CLOEXEC));
  kj::AutoCloseFd file(fd);
  KJ_SYSCALL(ftruncate(file, 4096));
  return file;
}

class DomainServer final : public schema::Domain::Server {
 public:
  DomainServer(MockWorld& world, kj::Own<MockDomain> domain)
      : world(world), domain(kj::mv(domain)) {}

  kj::Promise<void> info(InfoContext context) override {
    fillInfo(*domain, context.getResults().initInfo());
    return kj::READY_NOW;
  }

  kj::Promise<void> unpause(UnpauseContext) override {
    domain->paused = false;
    if (world.failing == "crash") domain->crashed = true;
    if (world.failing != "ring" && world.failing != "crash" && domain->epoch == 0) {
      domain->epoch = 1;
    }
    domain->change();
    return kj::READY_NOW;
  }

  kj::Promise<void> destroy(DestroyContext) override {
    if (!domain->destroyed) {
      if (domain->linked) {
        // As in the real one: a mapped ring keeps the memory.
        fail(FailureCode::BUSY, domain->name, "the ring is still mapped");
      }
      world.call(kj::str("destroy ", domain->name));
      domain->destroyed = true;
      kj::Vector<kj::Own<MockDomain>> rest;
      for (auto& other : world.domains) {
        if (other.get() != domain.get()) rest.add(kj::mv(other));
      }
      world.domains = kj::mv(rest);
      domain->change();
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> whenEnded(WhenEndedContext context) override {
    while (!domain->crashed && !domain->destroyed) co_await nextChange();
    auto end = context.getResults().initEnd();
    end.setReason(domain->crashed ? schema::DomainEnd::Reason::CRASH
                                  : schema::DomainEnd::Reason::DESTROYED);
    end.setConsoleTail("Kernel panic - not syncing: the mock's panic");
  }

  kj::Promise<void> whenRingOffered(WhenRingOfferedContext context) override {
    auto after = context.getParams().getAfter();
    while (domain->epoch <= after) co_await nextChange();
    auto offer = context.getResults().initOffer();
    offer.setDomid(domain->domid);
    offer.setEpoch(domain->epoch);
  }

  kj::Promise<void> connectVif(ConnectVifContext) override {
    world.call(kj::str("connectVif ", domain->name));
    return kj::READY_NOW;
  }

  kj::Promise<void> consoleTail(ConsoleTailContext context) override {
    context.getResults().setText("the last console line");
    return kj::READY_NOW;
  }

  kj::Promise<void> console(ConsoleContext context) override {
    auto sink = context.getParams().getSink();
    auto request = sink.writeRequest();
    request.setBytes(kj::StringPtr("booting\r\n\x1b[2Jdone\n").asBytes());
    co_await request.send();
    co_await sink.endRequest().send();
    context.getResults().setHandle(makeHandle([]() {}));
  }

  static void fillInfo(const MockDomain& domain, schema::DomainInfo::Builder info) {
    info.setUuid(domain.id.data());
    info.setName(domain.name);
    info.setDomid(domain.domid);
    info.setVirtualization(schema::Virtualization::PV);
  }

 private:
  MockWorld& world;
  kj::Own<MockDomain> domain;

  kj::Promise<void> nextChange() {
    auto pair = kj::newPromiseAndFulfiller<void>();
    domain->waiters.add(kj::mv(pair.fulfiller));
    return kj::mv(pair.promise);
  }
};

class HypervisorServer final : public schema::Hypervisor::Server {
 public:
  explicit HypervisorServer(MockWorld& world) : world(world) {}

  kj::Promise<void> status(StatusContext context) override {
    auto status = context.getResults().initStatus();
    status.setXenVersion("4.20.0");
    status.setPv(true);
    status.setTotalMemory(4096u << 20);
    status.setCpus(2);
    status.setDomains(static_cast<uint32_t>(world.domains.size()));
    return kj::READY_NOW;
  }

  kj::Promise<void> createDomain(CreateDomainContext context) override {
    auto spec = context.getParams().getSpec();
    world.call(kj::str("createDomain ", spec.getName()));
    world.failIf("createDomain");
    (void)co_await takeFd(spec.getKernel(), "kernel");
    (void)co_await takeFd(spec.getInitrd(), "initrd");
    for (auto disk : spec.getDisks()) (void)co_await takeFd(disk.getImage(), disk.getName());
    auto domain = kj::refcounted<MockDomain>();
    domain->id = KJ_ASSERT_NONNULL(Uuid::from(spec.getUuid()));
    domain->name = kj::str(spec.getName());
    domain->commandLine = kj::str(spec.getCommandLine());
    domain->memoryMiB = spec.getMemoryMiB();
    domain->domid = ++lastDomid;
    context.getResults().setDomain(kj::heap<DomainServer>(world, kj::addRef(*domain)));
    auto phases = context.getResults().initPhases(1);
    phases[0].setName("build");
    phases[0].setNanoseconds(1000);
    world.domains.add(kj::mv(domain));
  }

  kj::Promise<void> domains(DomainsContext context) override {
    auto list = context.getResults().initDomains(static_cast<uint>(world.domains.size()));
    for (uint i = 0; i < list.size(); ++i) {
      DomainServer::fillInfo(*world.domains[i], list[i].initInfo());
      list[i].setDomain(kj::heap<DomainServer>(world, kj::addRef(*world.domains[i])));
    }
    return kj::READY_NOW;
  }

 private:
  MockWorld& world;
  uint32_t lastDomid = 0;
};

class ImageServer final : public schema::Image::Server {
 public:
  explicit ImageServer(kj::StringPtr reference) : reference(kj::str(reference)) {}

  kj::Promise<void> info(InfoContext context) override {
    auto info = context.getResults().initInfo();
    info.setReference(reference);
    info.setManifestDigest("sha256:00");
    return kj::READY_NOW;
  }

  kj::Promise<void> config(ConfigContext context) override {
    auto config = context.getResults().initConfig();
    config.initEnvironment(1).set(0, "FROM_IMAGE=yes");
    if (reference == "empty") return kj::READY_NOW;
    auto command = config.initCommand(2);
    command.set(0, "echo");
    command.set(1, "the image's own command");
    config.setStopSignal("SIGINT");
    return kj::READY_NOW;
  }

  kj::Promise<void> details(DetailsContext context) override {
    auto details = context.getResults().initDetails();
    auto layer = details.initLayers(1)[0];
    layer.setDigest("sha256:11");
    layer.setSize(1u << 20);
    layer.setCompression("gzip");
    details.initSignature().setKind(schema::ImageSignature::Kind::VERIFIED);
    return kj::READY_NOW;
  }

  kj::Promise<void> verify(VerifyContext context) override {
    auto checks = context.getResults().initReport().initChecks(1);
    checks[0].setSubject("root.squashfs");
    checks[0].setResult(reference == "damaged" ? schema::VerifyReport::Result::DAMAGED
                                               : schema::VerifyReport::Result::INTACT);
    return kj::READY_NOW;
  }

  kj::Promise<void> document(DocumentContext context) override {
    bool manifest = context.getParams().getKind() == schema::Image::DocumentKind::MANIFEST;
    context.getResults().setBytes((manifest
                                       ? "{}"_kj
                                       : "{\"history\":[{\"created_by\":\"ADD rootfs\"},"
                                         "{\"created_by\":\"CMD sh\",\"empty_layer\":true}]}"_kj)
                                      .asBytes());
    return kj::READY_NOW;
  }

  kj::Promise<void> rootFileSystem(RootFileSystemContext context) override {
    context.getResults().setFile(makeFile(pageFile()));
    return kj::READY_NOW;
  }

 private:
  kj::String reference;
};

class KeeperServer final : public schema::ImageKeeper::Server {
 public:
  explicit KeeperServer(MockWorld& world) : world(world) {}

  kj::Promise<void> remove(RemoveContext context) override {
    world.call(kj::str("remove ", context.getParams().getReference()));
    return kj::READY_NOW;
  }

  kj::Promise<void> prune(PruneContext context) override {
    auto all = context.getParams().getReach() == schema::PruneReach::UNUSED;
    world.call(all ? "prune unused" : "prune unnamed");
    context.getResults().setFreedBytes(3u << 20);
    return kj::READY_NOW;
  }

  kj::Promise<void> usage(UsageContext context) override {
    context.getResults().initUsage().setUsedBytes(5u << 20);
    return kj::READY_NOW;
  }

 private:
  MockWorld& world;
};

class ImageStoreServer final : public schema::ImageStore::Server {
 public:
  explicit ImageStoreServer(MockWorld& world) : world(world) {}

  kj::Promise<void> pull(PullContext context) override {
    auto params = context.getParams();
    world.failIf("pull");
    auto report = params.getProgress().reportRequest();
    report.initProgress().setPhase("layer");
    co_await report.send();
    context.getResults().setImage(kj::heap<ImageServer>(params.getReference()));
  }

  kj::Promise<void> list(ListContext context) override {
    auto image = context.getResults().initImages(1)[0];
    image.setReference("registry.example/debian:13@sha256:00");
    return kj::READY_NOW;
  }

  kj::Promise<void> find(FindContext context) override {
    context.getResults().setImage(kj::heap<ImageServer>(context.getParams().getReference()));
    return kj::READY_NOW;
  }

  kj::Promise<void> lease(LeaseContext context) override {
    auto digest = context.getParams().getManifestDigest();
    world.call(kj::str("lease ", digest));
    context.getResults().setImage(kj::heap<ImageServer>(digest));
    return kj::READY_NOW;
  }

  kj::Promise<void> keeper(KeeperContext context) override {
    context.getResults().setKeeper(kj::heap<KeeperServer>(world));
    return kj::READY_NOW;
  }

  kj::Promise<void> bootFiles(BootFilesContext context) override {
    auto files = context.getResults().initFiles();
    files.setKernel(makeFile(pageFile()));
    files.setInitrd(makeFile(pageFile()));
    files.setAddons(makeFile(pageFile()));
    return kj::READY_NOW;
  }

 private:
  MockWorld& world;
};

class AttachmentServer final : public schema::Attachment::Server {
 public:
  AttachmentServer(MockWorld& world, kj::String zone) : world(world), zone(kj::mv(zone)) {}

  kj::Promise<void> connect(ConnectContext) override {
    world.failIf("connect");
    world.call("connect");
    return kj::READY_NOW;
  }

  kj::Promise<void> release(ReleaseContext) override {
    if (world.attachments.erase(zone)) world.call("release");
    return kj::READY_NOW;
  }

 private:
  MockWorld& world;
  kj::String zone;
};

class NetworkServer final : public schema::Network::Server {
 public:
  explicit NetworkServer(MockWorld& world) : world(world) {}

  kj::Promise<void> attach(AttachContext context) override {
    world.failIf("attach");
    world.call("attach");
    auto zone = textOf(context.getParams().getZone());
    world.attachments.upsert(kj::str(zone), true);
    auto results = context.getResults();
    auto plan = results.initPlan();
    plan.setMac("02:00:00:00:00:01");
    plan.initAddresses(1).set(0, "10.75.0.2/32");
    plan.setMtu(1500);
    results.setAttachment(kj::heap<AttachmentServer>(world, kj::mv(zone)));
    return kj::READY_NOW;
  }

  kj::Promise<void> find(FindContext context) override {
    auto zone = textOf(context.getParams().getZone());
    if (world.attachments.find(zone) == nullptr) return kj::READY_NOW;
    auto entry = context.getResults().initAttachments(1)[0];
    entry.setAttachment(kj::heap<AttachmentServer>(world, kj::mv(zone)));
    return kj::READY_NOW;
  }

  kj::Promise<void> retain(RetainContext context) override {
    kj::HashMap<kj::String, bool> kept;
    for (auto zone : context.getParams().getZones()) {
      auto text = textOf(zone);
      if (world.attachments.find(text) != nullptr) kept.upsert(kj::mv(text), true);
    }
    context.getResults().setReleased(static_cast<uint32_t>(world.attachments.size() - kept.size()));
    world.attachments = kj::mv(kept);
    return kj::READY_NOW;
  }

 private:
  MockWorld& world;

  static kj::String textOf(capnp::Data::Reader zone) {
    return KJ_ASSERT_NONNULL(Uuid::from(zone)).text();
  }
};

class RouterServer final : public schema::Router::Server {
 public:
  explicit RouterServer(MockWorld& world) : world(world) {}

  kj::Promise<void> attach(AttachContext context) override {
    world.failIf("link");
    auto params = context.getParams();
    for (auto& domain : world.domains) {
      if (domain->domid != params.getOffer().getDomid()) continue;
      context.getResults().setLink(makeMockLink(world, kj::addRef(*domain)));
      return kj::READY_NOW;
    }
    fail(FailureCode::INVALID, "ring", "there is no such domain");
  }

 private:
  MockWorld& world;
};

}  // namespace

void MockWorld::MockProcess::end() {
  auto present = kj::mv(waiters);
  waiters.clear();
  for (auto& waiter : present) waiter->fulfill();
}

void MockWorld::MockDomain::change() {
  auto present = kj::mv(waiters);
  waiters.clear();
  for (auto& waiter : present) waiter->fulfill();
}

bool MockWorld::called(kj::StringPtr what) const {
  for (auto& one : calls) {
    if (one == what) return true;
  }
  return false;
}

void MockWorld::failIf(kj::StringPtr step) {
  if (failing == step) {
    fail(FailureCode::EXHAUSTED, step, "the mock was told to fail", "tell it not to");
  }
}

void MockWorld::cutLinks() {
  auto present = kj::mv(linkClosers);
  linkClosers.clear();
  for (auto& closer : present) closer->fulfill();
}

schema::Hypervisor::Client MockWorld::hypervisor() { return kj::heap<HypervisorServer>(*this); }
schema::ImageStore::Client MockWorld::images() { return kj::heap<ImageStoreServer>(*this); }
schema::Network::Client MockWorld::network() { return kj::heap<NetworkServer>(*this); }
schema::Router::Client MockWorld::rings() { return kj::heap<RouterServer>(*this); }

}  // namespace bulkhead::testing
