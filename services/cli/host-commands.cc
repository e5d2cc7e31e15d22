// SPDX-License-Identifier: Apache-2.0
#include "services/cli/host-commands.h"

#include <stdlib.h>

#include "services/cli/progress-display.h"
#include "services/cli/zone-text.h"

namespace bulkhead {
namespace {

using PullResponse = capnp::Response<schema::Session::PullImageResults>;
using ImagesResponse = capnp::Response<schema::Session::ListImagesResults>;
using StatusResponse = capnp::Response<schema::Session::HostStatusResults>;

// A registry password must not stand on a command line, where every user of the host reads it.
void fillCredentials(schema::Credentials::Builder credentials, const std::string& user) {
  const char* password = getenv("BULKHEAD_REGISTRY_PASSWORD");
  if (password == nullptr) {
    fail(FailureCode::INVALID, "--user", "there is no password for it",
         "put it into the environment variable BULKHEAD_REGISTRY_PASSWORD");
  }
  auto pair = credentials.initPassword();
  pair.setUser(user.c_str());
  pair.setPassword(password);
}

}  // namespace

int pullCommand(CommandContext& context, const PullCommandOptions& options) {
  ProgressDisplay display;
  auto request = context.client.session().pullImageRequest();
  request.setReference(options.reference.c_str());
  auto pull = request.initOptions();
  if (options.always) pull.setPolicy(schema::PullPolicy::ALWAYS);
  if (!options.user.empty()) fillCredentials(pull.initCredentials(), options.user);
  request.setProgress(
      makeProgressSink([&display](schema::Progress::Reader p) { display.show(p); }));
  auto response = context.wait(kj::Promise<PullResponse>(request.send()));
  display.clear();
  if (context.format == OutputFormat::json) {
    context.print(imageJson(response.getInfo()));
  } else {
    context.print(kj::str(printable(response.getInfo().getReference()), '\n'));
  }
  return 0;
}

int listImagesCommand(CommandContext& context, ImageDetail detail) {
  auto response = context.wait(
      kj::Promise<ImagesResponse>(context.client.session().listImagesRequest().send()));
  if (detail == ImageDetail::referencesOnly) {
    for (auto image : response.getImages()) {
      context.print(kj::str(printable(image.getReference()), '\n'));
    }
    return 0;
  }
  if (context.format == OutputFormat::json) {
    auto list = Json::list();
    for (auto image : response.getImages()) list.add(imageJson(image));
    context.print(list);
    return 0;
  }
  Table table({"REFERENCE", "TYPE", "PLATFORM", "LAYERS", "SIZE", "PACKED"});
  for (auto image : response.getImages()) {
    table.add({image.getReference(), enumName(image.getType()),
               kj::str(image.getPlatform().getOs(), '/', image.getPlatform().getArchitecture()),
               kj::str(image.getLayers()), sizeText(image.getCompressedBytes()),
               sizeText(image.getPackedBytes())});
  }
  context.print(table.text());
  return 0;
}

int removeImageCommand(CommandContext& context, const std::string& reference) {
  auto request = context.client.session().removeImageRequest();
  request.setReference(reference.c_str());
  context.wait(request.send().ignoreResult());
  return 0;
}

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
