// SPDX-License-Identifier: Apache-2.0
#include "services/cli/zone-text.h"

#include "services/client/client.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

using State = schema::ZoneInfo::State;

kj::StringPtr virtualizationText(schema::ZoneInfo::Reader zone) {
  return zone.getVirtualization() == schema::Virtualization::AUTOMATIC
             ? "-"_kj
             : enumName(zone.getVirtualization());
}

kj::String addressText(schema::ZoneInfo::Reader zone) {
  if (zone.getAddresses().size() == 0) return kj::str("-");
  return kj::strArray(zone.getAddresses(), " ");
}

}  // namespace

Json exitJson(schema::ExitStatus::Reader status) {
  auto json = Json::object();
  if (status.isSignal()) {
    json.set("signal", Json::of(static_cast<int64_t>(status.getSignal())));
  } else {
    json.set("code", Json::of(static_cast<int64_t>(status.getCode())));
  }
  json.set("outOfMemory", Json::boolean(status.getOutOfMemory()));
  json.set("reason", status.getReason());
  return json;
}

Json phasesJson(capnp::List<schema::PhaseTime>::Reader phases) {
  auto list = Json::list();
  for (auto phase : phases) {
    auto entry = Json::object();
    entry.set("name", phase.getName());
    entry.set("nanoseconds", phase.getNanoseconds());
    list.add(kj::mv(entry));
  }
  return list;
}

Json zoneJson(schema::ZoneInfo::Reader zone) {
  auto json = Json::object();
  json.set("id", idOf(zone));
  json.set("name", zone.getName());
  json.set("state", enumName(zone.getState()));
  json.set("owner", uint64_t{zone.getOwner()});
  json.set("image", zone.getImage());
  json.set("created", timeOf(zone.getCreatedUnixNanoseconds()));
  json.set("ready", timeOf(zone.getReadyUnixNanoseconds()));
  json.set("exit", zone.hasExit() ? exitJson(zone.getExit()) : Json::null());
  bool failed = zone.getError().size() > 0;
  json.set("error", failed ? Json::of(zone.getError()) : Json::null());
  json.set("errorCode", failed ? Json::of(enumName(zone.getErrorCode())) : Json::null());
  json.set("domid", uint64_t{zone.getDomid()});
  json.set("virtualization", enumName(zone.getVirtualization()));
  json.set("memoryMiB", uint64_t{zone.getMemoryMiB()});
  json.set("vcpus", uint64_t{zone.getVcpus()});
  auto addresses = Json::list();
  for (kj::StringPtr address : zone.getAddresses()) addresses.add(Json::of(address));
  json.set("addresses", kj::mv(addresses));
  json.set("kernelVersion", zone.getKernelVersion());
  json.set("phases", phasesJson(zone.getPhases()));
  auto labels = Json::object();
  for (auto label : zone.getLabels()) labels.set(label.getKey(), label.getValue());
  json.set("labels", kj::mv(labels));
  return json;
}

Json hostJson(schema::HostStatus::Reader host) {
  auto json = Json::object();
  json.set("hostId", host.getHostId());
  json.set("xenVersion", host.getXenVersion());
  json.set("xenCaps", host.getXenCaps());
  json.set("totalMemory", host.getTotalMemory());
  json.set("freeMemory", host.getFreeMemory());
  json.set("cpus", uint64_t{host.getCpus()});
  json.set("pv", Json::boolean(host.getPv()));
  json.set("pvh", Json::boolean(host.getPvh()));
  json.set("domains", uint64_t{host.getDomains()});
  json.set("controlDegraded", Json::boolean(host.getControlDegraded()));
  return json;
}

kj::String stateText(schema::ZoneInfo::Reader zone) {
  auto name = enumName(zone.getState());
  if (zone.getState() != State::EXITED) return kj::str(name);
  auto status = zone.getExit();
  return status.isSignal() ? kj::str(name, " (signal ", status.getSignal(), ")")
                           : kj::str(name, " (", status.getCode(), ")");
}

kj::String zoneDetails(schema::ZoneInfo::Reader zone) {
  Table table({});
  table.add({"name", zone.getName()});
  table.add({"id", idOf(zone)});
  table.add({"state", stateText(zone)});
  if (zone.getExit().getReason().size() > 0) table.add({"reason", zone.getExit().getReason()});
  if (zone.getError().size() > 0) {
    table.add({"error", kj::str(enumName(zone.getErrorCode()), ": ", zone.getError())});
  }
  table.add({"image", zone.getImage()});
  table.add({"owner", kj::str(zone.getOwner())});
  table.add({"domain", zone.getDomid() == 0 ? kj::str("-") : kj::str(zone.getDomid())});
  table.add({"virtualization", virtualizationText(zone)});
  table.add({"memory", kj::str(zone.getMemoryMiB(), " MiB")});
  table.add({"vcpus", kj::str(zone.getVcpus())});
  table.add({"addresses", addressText(zone)});
  table.add({"kernel", zone.getKernelVersion()});
  for (auto label : zone.getLabels()) {
    table.add({"label", kj::str(label.getKey(), "=", label.getValue())});
  }
  return table.text();
}

kj::String timingsText(schema::ZoneInfo::Reader zone) {
  Table table({"PHASE", "TIME"});
  for (auto phase : zone.getPhases()) {
    table.add({phase.getName(), durationText(phase.getNanoseconds())});
  }
  if (zone.getReadyUnixNanoseconds() > zone.getCreatedUnixNanoseconds()) {
    table.add({"request to ready",
               durationText(zone.getReadyUnixNanoseconds() - zone.getCreatedUnixNanoseconds())});
  }
  return kj::str(table.text(), "zone kernel: Linux ", printable(zone.getKernelVersion(), 128), " (",
                 virtualizationText(zone), ")\n");
}

}  // namespace bulkhead
