// SPDX-License-Identifier: Apache-2.0
#include "hvd/domain-nodes.h"

#include <kj/debug.h>

namespace bulkhead::hvd {
namespace {

// Collects changes below one path.
class Writer {
 public:
  explicit Writer(kj::Vector<NodeChange>& changes, kj::StringPtr base)
      : changes(changes), base(kj::str(base)) {}

  template <typename T>
  void set(kj::StringPtr name, T&& value) {
    changes.add(writeNode(kj::str(base, '/', name), kj::str(kj::fwd<T>(value))));
  }

  void secure(NodePermissions permissions) { changes.add(secureNode(base, permissions)); }

  void secure(kj::StringPtr name, NodePermissions permissions) {
    changes.add(secureNode(kj::str(base, '/', name), permissions));
  }

 private:
  kj::Vector<NodeChange>& changes;
  kj::String base;
};

void append(kj::Vector<NodeChange>& changes, kj::Vector<NodeChange>&& more) {
  for (auto& change : more) changes.add(kj::mv(change));
}

NodePermissions hostOwned(uint32_t reader) { return {0, reader}; }
NodePermissions ownedBy(uint32_t domid) { return {domid, nullptr}; }

void addBasics(kj::Vector<NodeChange>& changes, const DomainPlan& plan) {
  auto readable = hostOwned(plan.domid);
  auto guestOwned = ownedBy(plan.domid);

  Writer vm(changes, kj::str("/vm/", plan.uuid));
  vm.secure(readable);
  vm.set("name", plan.name);
  vm.set("uuid", plan.uuid);

  Writer domain(changes, domainPath(plan.domid));
  domain.secure(readable);
  domain.set("vm", kj::str("/vm/", plan.uuid));
  domain.set("name", plan.name);
  domain.set("domid", plan.domid);
  for (uint32_t cpu = 0; cpu < plan.maxVcpus; ++cpu) {
    domain.set(kj::str("cpu/", cpu, "/availability"), cpu < plan.vcpus ? "online" : "offline");
  }
  // Equal at the start: the guest's balloon takes their difference for memory it never had.
  domain.set("memory/static-max", plan.memoryKiB);
  domain.set("memory/target", plan.memoryKiB);
  domain.set("memory/videoram", 0);

  domain.secure("device", readable);
  domain.secure("control", readable);
  for (auto name : {"shutdown", "feature-poweroff", "feature-reboot", "feature-suspend", "sysrq"}) {
    domain.secure(kj::str("control/", name), guestOwned);
  }
  domain.set("control/platform-feature-multiprocessor-suspend", 1);
  domain.set("control/platform-feature-xs_reset_watches", 1);
  // The guest offers its messaging ring below `data`.
  for (auto name : {"data", "drivers", "feature", "attr", "error"}) {
    domain.secure(name, guestOwned);
  }

  domain.set("store/port", plan.xenstorePort);
  domain.set("store/ring-ref", plan.xenstoreFrame);

  domain.secure("console", readable);
  // Not "xenconsoled": that daemon leaves rings of other types alone, and hvd serves this one.
  domain.set("console/type", "bulkhead");
  domain.set("console/backend-id", 0);
  domain.set("console/limit", 65536);
  domain.set("console/port", plan.consolePort);
  domain.set("console/ring-ref", plan.consoleFrame);
}

}  // namespace

kj::String domainPath(uint32_t domid) { return kj::str("/local/domain/", domid); }

kj::String diskBackendPath(uint32_t domid, uint32_t device) {
  return kj::str("/local/domain/0/backend/vbd/", domid, '/', device);
}

kj::String diskFrontendPath(uint32_t domid, uint32_t device) {
  return kj::str("/local/domain/", domid, "/device/vbd/", device);
}

kj::String vifBackendPath(uint32_t domid, const VifConfig& vif) {
  return kj::str("/local/domain/", vif.backendDomain, "/backend/vif/", domid, '/', vif.index);
}

kj::String vifFrontendPath(uint32_t domid, uint32_t index) {
  return kj::str("/local/domain/", domid, "/device/vif/", index);
}

kj::Vector<NodeChange> diskNodes(uint32_t domid, const DiskPlan& disk) {
  kj::Vector<NodeChange> changes;
  auto backendPath = diskBackendPath(domid, disk.device);
  auto frontendPath = diskFrontendPath(domid, disk.device);

  Writer frontend(changes, frontendPath);
  frontend.secure({domid, 0u});
  frontend.set("backend", backendPath);
  frontend.set("backend-id", 0);
  frontend.set("virtual-device", disk.device);
  frontend.set("device-type", "disk");
  frontend.set("state", 1);

  Writer backend(changes, backendPath);
  backend.secure({0, domid});
  backend.set("frontend", frontendPath);
  backend.set("frontend-id", domid);
  backend.set("online", 1);
  backend.set("removable", 0);
  backend.set("bootable", 0);
  backend.set("dev", disk.name);
  backend.set("type", "phy");
  backend.set("mode", disk.access == Access::READ_ONLY ? "r" : "w");
  backend.set("device-type", "disk");
  backend.set("hotplug-status", "connected");
  // This node makes blkback open the device.
  backend.set("physical-device", kj::str(kj::hex(disk.major), ':', kj::hex(disk.minor)));
  backend.set("state", 1);
  return changes;
}

kj::Vector<NodeChange> vifNodes(uint32_t domid, const VifConfig& vif) {
  kj::Vector<NodeChange> changes;
  auto backendPath = vifBackendPath(domid, vif);
  auto frontendPath = vifFrontendPath(domid, vif.index);

  Writer frontend(changes, frontendPath);
  frontend.secure({domid, vif.backendDomain});
  frontend.set("backend", backendPath);
  frontend.set("backend-id", vif.backendDomain);
  frontend.set("mac", vif.mac);
  frontend.set("handle", vif.index);
  if (vif.mtu != 0) frontend.set("mtu", vif.mtu);
  // A back end in another domain is a stranger to the guest.
  if (vif.backendDomain != 0) frontend.set("trusted", 0);
  frontend.set("state", 1);

  Writer backend(changes, backendPath);
  backend.secure({vif.backendDomain, domid});
  backend.set("frontend", frontendPath);
  backend.set("frontend-id", domid);
  backend.set("handle", vif.index);
  backend.set("mac", vif.mac);
  // Empty, but netback fails without it.
  backend.set("script", "");
  backend.set("online", 1);
  // hotplug-status stays absent until the link is configured: no frame flows before.
  backend.set("state", 1);
  return changes;
}

kj::Array<NodeChange> domainNodes(const DomainPlan& plan) {
  kj::Vector<NodeChange> changes;
  kj::Vector<uint32_t> backends;
  for (auto& vif : plan.vifs) backends.add(vif.backendDomain);
  for (auto& change : purgeNodes(plan.domid, plan.uuid, backends)) changes.add(kj::mv(change));
  addBasics(changes, plan);
  for (auto& disk : plan.disks) append(changes, diskNodes(plan.domid, disk));
  for (auto& vif : plan.vifs) append(changes, vifNodes(plan.domid, vif));
  return changes.releaseAsArray();
}

kj::Array<NodeChange> purgeNodes(uint32_t domid, const Uuid& uuid,
                                 kj::ArrayPtr<const uint32_t> backendDomains) {
  kj::Vector<NodeChange> changes;
  changes.add(removeNode(domainPath(domid)));
  changes.add(removeNode(kj::str("/local/domain/0/backend/vbd/", domid)));
  changes.add(removeNode(kj::str("/local/domain/0/backend/vif/", domid)));
  // What dom0's back ends noted of their troubles with it.
  changes.add(removeNode(kj::str("/local/domain/0/error/backend/vbd/", domid)));
  changes.add(removeNode(kj::str("/local/domain/0/error/backend/vif/", domid)));
  for (uint32_t backend : backendDomains) {
    if (backend == 0) continue;
    changes.add(removeNode(kj::str("/local/domain/", backend, "/backend/vif/", domid)));
  }
  changes.add(removeNode(kj::str("/vm/", uuid)));
  return changes.releaseAsArray();
}

}  // namespace bulkhead::hvd
