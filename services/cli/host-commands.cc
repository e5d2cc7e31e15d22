// SPDX-License-Identifier: Apache-2.0
#include "services/cli/host-commands.h"

#include "services/cli/zone-text.h"

namespace bulkhead {
namespace {

using StatusResponse = capnp::Response<schema::Session::HostStatusResults>;

}  // namespace

int hostStatusCommand(CommandContext& context) {
  auto response = context.wait(
      kj::Promise<StatusResponse>(context.client.session().hostStatusRequest().send()));
  auto host = response.getStatus();
  if (context.format == OutputFormat::json) {
    context.print(hostJson(host));
    return 0;
  }
  auto kinds = host.getPv() && host.getPvh() ? "PV, PVH"_kj
               : host.getPv()                ? "PV"_kj
               : host.getPvh()               ? "PVH"_kj
                                             : "none"_kj;
  Table table({});
  table.add({"host", host.getHostId()});
  table.add({"xen", host.getXenVersion()});
  table.add({"guests", kinds});
  table.add({"cpus", kj::str(host.getCpus())});
  table.add({"memory", kj::str(sizeText(host.getFreeMemory()), " free of ",
                               sizeText(host.getTotalMemory()))});
  table.add({"zones", kj::str(host.getDomains())});
  if (host.getControlDegraded()) {
    table.add({"warning", "xenstored does not answer: running zones run, no new work"});
  }
  context.print(table.text());
  return 0;
}

int versionCommand(CommandContext& context) {
  kj::String service;
  try {
    service = context.wait(context.client.version());
  } catch (const kj::Exception&) {
    // The command's own version is worth telling without the service.
  }
  if (context.format == OutputFormat::json) {
    auto json = Json::object();
    json.set("version", kj::StringPtr(BULKHEAD_VERSION));
    json.set("service", service.size() > 0 ? Json::of(service) : Json::null());
    context.print(json);
    return 0;
  }
  context.print(kj::str("bulkhead ", BULKHEAD_VERSION, '\n', "zoned    ",
                        service.size() > 0 ? service.asPtr() : "does not answer"_kj, '\n'));
  return 0;
}

}  // namespace bulkhead
