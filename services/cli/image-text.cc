// SPDX-License-Identifier: Apache-2.0
#include "services/cli/image-text.h"

#include <capnp/compat/json.h>
#include <time.h>

#include "services/cli/enum-name.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr uint kMostHistory = 4096;

uint64_t nanoseconds(int64_t seconds) {
  return seconds <= 0 ? 0 : static_cast<uint64_t>(seconds) * 1000000000u;
}

kj::String age(int64_t unixSeconds) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return ageText(nanoseconds(unixSeconds), nanoseconds(now.tv_sec));
}

kj::String platformText(schema::ImagePlatform::Reader platform) {
  auto text = kj::str(platform.getOs(), '/', platform.getArchitecture());
  return platform.getVariant().size() == 0 ? kj::mv(text)
                                           : kj::str(text, '/', platform.getVariant());
}

Json signatureJson(schema::ImageSignature::Reader signature) {
  auto json = Json::object();
  json.set("kind", enumName(signature.getKind()));
  json.set("keyFingerprint", signature.getKeyFingerprint());
  json.set("signedDigest", signature.getSignedDigest());
  json.set("identity", signature.getIdentity());
  return json;
}

// The text of an object's field, or nothing.
kj::String textOf(capnp::JsonValue::Reader object, kj::StringPtr name) {
  if (!object.isObject()) return kj::String();
  for (auto field : object.getObject()) {
    if (field.getName() == name && field.getValue().isString()) {
      return kj::str(field.getValue().getString());
    }
  }
  return kj::String();
}

bool isTrue(capnp::JsonValue::Reader object, kj::StringPtr name) {
  if (!object.isObject()) return false;
  for (auto field : object.getObject()) {
    if (field.getName() == name) {
      return field.getValue().isBoolean() && field.getValue().getBoolean();
    }
  }
  return false;
}

uint64_t sizeOf(const HistoryEntry& entry, schema::ImageDetails::Reader details) {
  KJ_IF_MAYBE (number, entry.layer) {
    if (*number < details.getLayers().size()) return details.getLayers()[*number].getSize();
  }
  return 0;
}

}  // namespace

Json imageJson(schema::ImageInfo::Reader image) {
  auto json = Json::object();
  json.set("reference", image.getReference());
  json.set("manifestDigest", image.getManifestDigest());
  json.set("type", enumName(image.getType()));
  auto platform = Json::object();
  platform.set("os", image.getPlatform().getOs());
  platform.set("architecture", image.getPlatform().getArchitecture());
  platform.set("variant", image.getPlatform().getVariant());
  json.set("platform", kj::mv(platform));
  json.set("created", timeOf(nanoseconds(image.getCreatedUnixSeconds())));
  json.set("pulled", timeOf(nanoseconds(image.getPulledUnixSeconds())));
  json.set("lastUsed", timeOf(nanoseconds(image.getLastUsedUnixSeconds())));
  json.set("compressedBytes", image.getCompressedBytes());
  json.set("packedBytes", image.getPackedBytes());
  json.set("layers", uint64_t{image.getLayers()});
  json.set("storedBytes", image.getStoredBytes());
  json.set("sharedBytes", image.getSharedBytes());
  json.set("holders", uint64_t{image.getHolders()});
  return json;
}

Json imageDetailsJson(schema::ImageInfo::Reader image, schema::ImageDetails::Reader details) {
  auto json = imageJson(image);
  json.set("configDigest", details.getConfigDigest());
  auto layers = Json::list();
  for (auto layer : details.getLayers()) {
    auto entry = Json::object();
    entry.set("digest", layer.getDigest());
    entry.set("size", layer.getSize());
    entry.set("diffId", layer.getDiffId());
    entry.set("compression", layer.getCompression());
    entry.set("stored", Json::boolean(layer.getStored()));
    layers.add(kj::mv(entry));
  }
  json.set("layerList", kj::mv(layers));
  json.set("entries", details.getEntries());
  json.set("kernelVersion", details.getKernelVersion());
  bool isDisk = image.getType() == schema::ImageType::DISK;
  json.set("diskFormat", isDisk ? Json::of(enumName(details.getDiskFormat())) : Json::null());
  json.set("signature", signatureJson(details.getSignature()));
  auto packed = Json::list();
  for (auto file : details.getPacked()) {
    auto entry = Json::object();
    entry.set("name", file.getName());
    entry.set("size", file.getSize());
    bool byTree = file.getDigest().size() == 0;
    entry.set("digest", byTree ? Json::null() : Json::of(file.getDigest()));
    packed.add(kj::mv(entry));
  }
  json.set("packed", kj::mv(packed));
  json.set("packedAt", timeOf(nanoseconds(details.getPackedUnixSeconds())));
  return json;
}

kj::String imageDetails(schema::ImageInfo::Reader image, schema::ImageDetails::Reader details) {
  Table table({});
  table.add({"reference", image.getReference()});
  table.add({"manifest", image.getManifestDigest()});
  table.add({"configuration", details.getConfigDigest()});
  table.add({"type", image.getType() == schema::ImageType::DISK
                         ? kj::str("disk (", enumName(details.getDiskFormat()), ")")
                         : kj::str(enumName(image.getType()))});
  table.add({"platform", platformText(image.getPlatform())});
  table.add({"created", age(image.getCreatedUnixSeconds())});
  table.add({"pulled", age(image.getPulledUnixSeconds())});
  table.add({"last used", age(image.getLastUsedUnixSeconds())});
  table.add({"in use", image.getHolders() > 1 ? "yes" : "no"});
  auto signature = details.getSignature();
  table.add({"signature", signature.getKind() == schema::ImageSignature::Kind::VERIFIED
                              ? kj::str("verified, key ", signature.getKeyFingerprint())
                              : kj::str("not checked")});
  if (details.getKernelVersion().size() > 0) table.add({"kernel", details.getKernelVersion()});
  table.add({"files", kj::str(details.getEntries())});
  table.add({"size", kj::str(sizeText(image.getCompressedBytes()), " compressed, ",
                             sizeText(image.getPackedBytes()), " packed")});
  table.add({"on disk", kj::str(sizeText(image.getStoredBytes()), ", of these ",
                                sizeText(image.getSharedBytes()), " shared with other images")});
  for (auto file : details.getPacked()) {
    kj::StringPtr digest = file.getDigest();
    table.add({"packed", kj::str(file.getName(), "  ", sizeText(file.getSize()), "  ",
                                 digest.size() > 0 ? digest : "proven by its hash tree"_kj)});
  }
  for (auto layer : details.getLayers()) {
    table.add({"layer", kj::str(layer.getDigest(), "  ", sizeText(layer.getSize()), "  ",
                                layer.getCompression(), layer.getStored() ? "" : "  (not kept)")});
  }
  return table.text();
}

Json verifyJson(schema::VerifyReport::Reader report) {
  auto checks = Json::list();
  for (auto check : report.getChecks()) {
    auto entry = Json::object();
    entry.set("subject", check.getSubject());
    entry.set("result", enumName(check.getResult()));
    entry.set("problem", check.getProblem());
    checks.add(kj::mv(entry));
  }
  return checks;
}

Json usageJson(schema::StoreUsage::Reader usage) {
  auto json = Json::object();
  json.set("quotaBytes", usage.getQuotaBytes());
  json.set("usedBytes", usage.getUsedBytes());
  json.set("layerBytes", usage.getLayerBytes());
  json.set("packedBytes", usage.getPackedBytes());
  json.set("reclaimableBytes", usage.getReclaimableBytes());
  json.set("images", uint64_t{usage.getImages()});
  json.set("layers", uint64_t{usage.getLayers()});
  return json;
}

kj::Vector<HistoryEntry> parseHistory(kj::ArrayPtr<const kj::byte> configuration) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::JsonValue>();
  capnp::JsonCodec().decodeRaw(configuration.asChars(), root);
  kj::Vector<HistoryEntry> history;
  if (!root.isObject()) fail(FailureCode::INVALID, "image configuration", "it is no JSON object");
  uint layer = 0;
  for (auto field : root.asReader().getObject()) {
    if (field.getName() != "history" || !field.getValue().isArray()) continue;
    for (auto step : field.getValue().getArray()) {
      if (history.size() == kMostHistory) break;
      HistoryEntry entry{textOf(step, "created"), textOf(step, "created_by"),
                         textOf(step, "comment"), nullptr};
      if (!isTrue(step, "empty_layer")) entry.layer = layer++;
      history.add(kj::mv(entry));
    }
  }
  return history;
}

Json historyJson(kj::ArrayPtr<const HistoryEntry> history, schema::ImageDetails::Reader details) {
  auto list = Json::list();
  for (const auto& entry : history) {
    auto json = Json::object();
    json.set("created", entry.created);
    json.set("createdBy", entry.createdBy);
    json.set("comment", entry.comment);
    json.set("size", sizeOf(entry, details));
    KJ_IF_MAYBE (number, entry.layer) {
      bool known = *number < details.getLayers().size();
      json.set("layer", known ? Json::of(details.getLayers()[*number].getDigest()) : Json::null());
    } else {
      json.set("layer", Json::null());
    }
    list.add(kj::mv(json));
  }
  return list;
}

kj::String historyText(kj::ArrayPtr<const HistoryEntry> history,
                       schema::ImageDetails::Reader details) {
  Table table({"CREATED", "SIZE", "BY"});
  for (const auto& entry : history) {
    auto text = entry.comment.size() == 0 ? kj::str(entry.createdBy)
                                          : kj::str(entry.createdBy, "  # ", entry.comment);
    table.add({entry.created.size() == 0 ? "-"_kj : entry.created.asPtr(),
               entry.layer == nullptr ? kj::str("-") : sizeText(sizeOf(entry, details)), text});
  }
  return table.text();
}

}  // namespace bulkhead
