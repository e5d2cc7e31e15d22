// SPDX-License-Identifier: Apache-2.0
#include "services/cli/image-commands.h"

#include <stdlib.h>

#include "services/cli/enum-name.h"
#include "services/cli/image-text.h"
#include "services/cli/progress-display.h"

namespace bulkhead {
namespace {

using PullResponse = capnp::Response<schema::Session::PullImageResults>;
using ImagesResponse = capnp::Response<schema::Session::ListImagesResults>;
using InfoResponse = capnp::Response<schema::Image::InfoResults>;
using DetailsResponse = capnp::Response<schema::Image::DetailsResults>;
using DocumentResponse = capnp::Response<schema::Image::DocumentResults>;
using VerifyResponse = capnp::Response<schema::Image::VerifyResults>;
using PruneResponse = capnp::Response<schema::ImageKeeper::PruneResults>;
using UsageResponse = capnp::Response<schema::ImageKeeper::UsageResults>;

constexpr int kDamaged = 1;

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

void fillPlatform(schema::ImagePlatform::Builder platform, const std::string& text) {
  kj::Vector<kj::String> parts;
  kj::StringPtr rest(text.c_str());
  for (;;) {
    KJ_IF_MAYBE (slash, rest.findFirst('/')) {
      parts.add(kj::str(rest.slice(0, *slash)));
      rest = rest.slice(*slash + 1);
    } else {
      parts.add(kj::str(rest));
      break;
    }
  }
  bool empty = false;
  for (const auto& part : parts) empty = empty || part.size() == 0;
  if (parts.size() < 2 || parts.size() > 3 || empty) {
    fail(FailureCode::INVALID, text.c_str(), "this is no platform", "such as linux/arm64");
  }
  platform.setOs(parts[0]);
  platform.setArchitecture(parts[1]);
  if (parts.size() == 3) platform.setVariant(parts[2]);
}

schema::Image::Client findImage(CommandContext& context, const std::string& reference) {
  auto request = context.client.session().findImageRequest();
  request.setReference(reference.c_str());
  return request.send().getImage();
}

schema::ImageKeeper::Client keeper(CommandContext& context) {
  return context.client.session().imageKeeperRequest().send().getKeeper();
}

}  // namespace

void printImage(CommandContext& context, schema::ImageInfo::Reader image) {
  if (context.format == OutputFormat::json) {
    context.print(imageJson(image));
  } else {
    context.print(kj::str(printable(image.getReference()), '\n'));
  }
}

int pullCommand(CommandContext& context, const PullCommandOptions& options) {
  ProgressDisplay display(ProgressDisplay::Elsewhere::plainLines);
  auto request = context.client.session().pullImageRequest();
  request.setReference(options.reference.c_str());
  auto pull = request.initOptions();
  if (options.always) pull.setPolicy(schema::PullPolicy::ALWAYS);
  if (!options.user.empty()) fillCredentials(pull.initCredentials(), options.user);
  if (!options.platform.empty()) fillPlatform(pull.initPlatform(), options.platform);
  if (context.format == OutputFormat::json) display.mute();
  request.setProgress(display.sink());
  auto response = context.wait(kj::Promise<PullResponse>(request.send()));
  display.clear();
  printImage(context, response.getInfo());
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
  Table table({"REFERENCE", "TYPE", "PLATFORM", "LAYERS", "SIZE", "ON DISK", "SHARED", "USED BY"});
  for (auto image : response.getImages()) {
    table.add({image.getReference(), enumName(image.getType()),
               kj::str(image.getPlatform().getOs(), '/', image.getPlatform().getArchitecture()),
               kj::str(image.getLayers()), sizeText(image.getCompressedBytes()),
               sizeText(image.getStoredBytes()), sizeText(image.getSharedBytes()),
               image.getHolders() == 0 ? kj::str("-") : kj::str(image.getHolders())});
  }
  context.print(table.text());
  return 0;
}

int inspectImageCommand(CommandContext& context, const std::string& reference) {
  auto image = findImage(context, reference);
  auto info = context.wait(kj::Promise<InfoResponse>(image.infoRequest().send()));
  auto details = context.wait(kj::Promise<DetailsResponse>(image.detailsRequest().send()));
  if (context.format == OutputFormat::json) {
    context.print(imageDetailsJson(info.getInfo(), details.getDetails()));
  } else {
    context.print(imageDetails(info.getInfo(), details.getDetails()));
  }
  return 0;
}

int imageHistoryCommand(CommandContext& context, const std::string& reference) {
  auto image = findImage(context, reference);
  auto request = image.documentRequest();
  request.setKind(schema::Image::DocumentKind::CONFIG);
  auto config = context.wait(kj::Promise<DocumentResponse>(request.send()));
  auto details = context.wait(kj::Promise<DetailsResponse>(image.detailsRequest().send()));
  auto history = parseHistory(config.getBytes());
  if (context.format == OutputFormat::json) {
    context.print(historyJson(history, details.getDetails()));
  } else {
    context.print(historyText(history, details.getDetails()));
  }
  return 0;
}

int verifyImagesCommand(CommandContext& context, const std::vector<std::string>& named) {
  auto references = named;
  if (references.empty()) {
    auto all = context.wait(
        kj::Promise<ImagesResponse>(context.client.session().listImagesRequest().send()));
    for (auto image : all.getImages()) references.emplace_back(image.getReference().cStr());
  }
  auto json = Json::list();
  bool damaged = false;
  for (const auto& reference : references) {
    ProgressDisplay display;
    auto request = findImage(context, reference).verifyRequest();
    if (context.format == OutputFormat::json) display.mute();
    request.setProgress(display.sink());
    auto response = context.wait(kj::Promise<VerifyResponse>(request.send()));
    display.clear();
    bool intact = true;
    for (auto check : response.getReport().getChecks()) {
      auto result = check.getResult();
      bool bad = result == schema::VerifyReport::Result::DAMAGED ||
                 result == schema::VerifyReport::Result::MISSING;
      intact = intact && !bad;
      if (bad && context.format != OutputFormat::json) {
        context.print(kj::str(printable(kj::StringPtr(reference.c_str())), ": ",
                              printable(check.getSubject()), " is ", enumName(result), ": ",
                              printable(check.getProblem()), '\n'));
      }
    }
    damaged = damaged || !intact;
    if (context.format != OutputFormat::json) {
      context.print(kj::str(printable(kj::StringPtr(reference.c_str())),
                            intact ? ": intact\n" : ": damaged; pull it again\n"));
      continue;
    }
    auto entry = Json::object();
    entry.set("reference", kj::StringPtr(reference.c_str()));
    entry.set("intact", Json::boolean(intact));
    entry.set("checks", verifyJson(response.getReport()));
    json.add(kj::mv(entry));
  }
  if (context.format == OutputFormat::json) context.print(json);
  return damaged ? kDamaged : 0;
}

int removeImagesCommand(CommandContext& context, const std::vector<std::string>& references) {
  auto images = keeper(context);
  for (const auto& reference : references) {
    auto request = images.removeRequest();
    request.setReference(reference.c_str());
    context.wait(request.send().ignoreResult());
  }
  return 0;
}

int pruneImagesCommand(CommandContext& context, const PruneCommandOptions& options) {
  auto request = keeper(context).pruneRequest();
  if (options.all) request.setReach(schema::PruneReach::UNUSED);
  auto response = context.wait(kj::Promise<PruneResponse>(request.send()));
  if (context.format == OutputFormat::json) {
    auto json = Json::object();
    json.set("freedBytes", response.getFreedBytes());
    auto removed = Json::list();
    for (kj::StringPtr reference : response.getRemoved()) removed.add(Json::of(reference));
    json.set("removed", kj::mv(removed));
    context.print(json);
    return 0;
  }
  for (kj::StringPtr reference : response.getRemoved()) {
    context.print(kj::str("removed ", printable(reference), '\n'));
  }
  context.print(kj::str(sizeText(response.getFreedBytes()), " freed\n"));
  return 0;
}

int imageUsageCommand(CommandContext& context) {
  auto response = context.wait(kj::Promise<UsageResponse>(keeper(context).usageRequest().send()));
  auto usage = response.getUsage();
  if (context.format == OutputFormat::json) {
    context.print(usageJson(usage));
    return 0;
  }
  Table table({});
  table.add({"images", kj::str(usage.getImages())});
  table.add({"layers", kj::str(usage.getLayers(), ", ", sizeText(usage.getLayerBytes()))});
  table.add({"packed images", sizeText(usage.getPackedBytes())});
  table.add({"used", sizeText(usage.getUsedBytes())});
  table.add(
      {"quota", usage.getQuotaBytes() == 0 ? kj::str("none") : sizeText(usage.getQuotaBytes())});
  table.add({"reclaimable", sizeText(usage.getReclaimableBytes())});
  context.print(table.text());
  return 0;
}

}  // namespace bulkhead
