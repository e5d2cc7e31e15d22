// SPDX-License-Identifier: Apache-2.0
#include "imaged/documents.h"

#include <kj/debug.h>

#include "imaged/json.h"
#include "imaged/timestamp.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr kj::StringPtr kOciIndex = "application/vnd.oci.image.index.v1+json"_kj;
constexpr kj::StringPtr kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json"_kj;
constexpr kj::StringPtr kOciManifest = "application/vnd.oci.image.manifest.v1+json"_kj;
constexpr kj::StringPtr kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"_kj;
constexpr kj::StringPtr kDockerSchema1 = "application/vnd.docker.distribution.manifest.v1"_kj;
constexpr kj::StringPtr kOciConfig = "application/vnd.oci.image.config.v1+json"_kj;
constexpr kj::StringPtr kDockerConfig = "application/vnd.docker.container.image.v1+json"_kj;
constexpr kj::StringPtr kEmptyConfig = "application/vnd.oci.empty.v1+json"_kj;
constexpr kj::StringPtr kTypeKey = "org.bulkhead.image.type"_kj;

using Compression = schema::Layer::Compression;

struct LayerType {
  kj::StringPtr mediaType;
  Compression compression;
};
constexpr LayerType kLayerTypes[] = {
    {"application/vnd.oci.image.layer.v1.tar"_kj, Compression::NONE},
    {"application/vnd.oci.image.layer.v1.tar+gzip"_kj, Compression::GZIP},
    {"application/vnd.oci.image.layer.v1.tar+zstd"_kj, Compression::ZSTD},
    {"application/vnd.docker.image.rootfs.diff.tar"_kj, Compression::NONE},
    {"application/vnd.docker.image.rootfs.diff.tar.gzip"_kj, Compression::GZIP},
    {"application/vnd.docker.image.rootfs.diff.tar.zstd"_kj, Compression::ZSTD},
};

enum class Shape { unknown, index, manifest };

Shape shapeOf(kj::StringPtr mediaType) {
  if (mediaType == kOciIndex || mediaType == kDockerList) return Shape::index;
  if (mediaType == kOciManifest || mediaType == kDockerManifest) return Shape::manifest;
  return Shape::unknown;
}

// "Type/Sub; charset=utf-8" without its parameters, in lower case.
kj::String essence(kj::StringPtr contentType) {
  size_t end = contentType.findFirst(';').orDefault(contentType.size());
  while (end > 0 && contentType[end - 1] == ' ') --end;
  auto result = kj::str(contentType.slice(0, end));
  for (char& c : result.asArray()) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

Descriptor readDescriptor(const JsonView& view, kj::StringPtr subject) {
  auto digest = view.required("digest").text(256);
  return {view.required("mediaType").text(256), Digest::parse(digest, subject),
          view.required("size").number()};
}

kj::String annotation(const JsonView& view, kj::StringPtr key) {
  KJ_IF_MAYBE (annotations, view.member("annotations")) {
    return annotations->textOf(key);
  }
  return kj::String();
}

Index readIndex(const JsonView& root, kj::StringPtr subject, const DocumentLimits& limits) {
  Index index;
  for (const auto& item : root.required("manifests").items(limits.indexEntries)) {
    kj::Maybe<PlatformName> platform;
    KJ_IF_MAYBE (found, item.member("platform")) {
      platform =
          PlatformName{found->required("os").text(64), found->required("architecture").text(64),
                       found->textOf("variant", 64)};
    }
    index.entries.add(IndexEntry{readDescriptor(item, subject), kj::mv(platform),
                                 annotation(item, "org.opencontainers.image.ref.name"),
                                 item.textOf("artifactType", 256)});
  }
  return index;
}

// "Guidelines for Artifact Usage": an artifact says its type by artifactType, and must where the
// configuration is the empty one; older ones by the configuration's media type.
void requireImage(const JsonView& root, const Descriptor& config, kj::StringPtr subject) {
  auto type = root.textOf("artifactType", 256);
  if (config.mediaType == kEmptyConfig && type.size() == 0) {
    root.reject("has an empty configuration and does not say what it is");
  }
  bool image = config.mediaType == kOciConfig || config.mediaType == kDockerConfig;
  if (image && (type.size() == 0 || type == config.mediaType)) return;
  if (type.size() == 0) type = kj::str(config.mediaType);
  fail(FailureCode::UNSUPPORTED, subject,
       kj::str("this is an artifact of type ", printable(type, 128), ", not an image"));
}

Manifest readManifest(const JsonView& root, kj::StringPtr subject, const DocumentLimits& limits) {
  auto configView = root.required("config");
  Manifest manifest{readDescriptor(configView, subject), {}, annotation(root, kTypeKey)};
  requireImage(root, manifest.config, subject);
  if (manifest.config.size > limits.configBytes) {
    configView.reject(kj::str("is larger than the limit of ", limits.configBytes, " bytes"));
  }
  for (const auto& item : root.required("layers").items(limits.layers)) {
    auto descriptor = readDescriptor(item, subject);
    kj::Maybe<Compression> compression;
    for (const auto& known : kLayerTypes) {
      if (known.mediaType == descriptor.mediaType) compression = known.compression;
    }
    KJ_IF_MAYBE (form, compression) {
      manifest.layers.add(LayerDescriptor{kj::mv(descriptor), *form});
    } else {
      // Foreign layers among them: their `urls` are never followed (CVE-2020-15157).
      fail(FailureCode::UNSUPPORTED, subject,
           kj::str("layer ", manifest.layers.size() + 1, " has the media type ",
                   printable(descriptor.mediaType, 128)));
    }
  }
  return manifest;
}

kj::Vector<kj::String> texts(const JsonView& view, kj::StringPtr key) {
  kj::Vector<kj::String> result;
  KJ_IF_MAYBE (list, view.member(key)) {
    for (const auto& item : list->items(4096)) result.add(item.text(128u << 10));
  }
  return result;
}

void writeTexts(const kj::Vector<kj::String>& texts, capnp::List<capnp::Text>::Builder out) {
  for (uint i = 0; i < out.size(); ++i) out.set(i, texts[i]);
}

// What is in an index beside images: attestations, signatures, other artifacts.
bool isNoImage(const IndexEntry& entry) {
  if (shapeOf(entry.descriptor.mediaType) == Shape::unknown) return true;
  if (entry.artifactType.size() > 0) return true;
  KJ_IF_MAYBE (platform, entry.platform) {
    return platform->os == "unknown";
  }
  return false;
}

schema::ImageType imageType(const Manifest& manifest, const ImageConfig& config,
                            kj::StringPtr subject) {
  kj::StringPtr named = manifest.typeAnnotation;
  for (const auto& label : config.labels) {
    if (named.size() == 0 && label.key == kTypeKey) named = label.value;
  }
  if (named.size() == 0 || named == "container") return schema::ImageType::CONTAINER;
  if (named == "kernel") return schema::ImageType::KERNEL;
  if (named == "system") return schema::ImageType::SYSTEM;
  if (named == "disk") return schema::ImageType::DISK;
  if (named == "extension") return schema::ImageType::EXTENSION;
  fail(FailureCode::INVALID, subject,
       kj::str(kTypeKey, " is '", printable(named, 64),
               "', not container, kernel, system, extension or disk"));
}

}  // namespace

kj::StringPtr acceptedManifestTypes() {
  return "application/vnd.oci.image.index.v1+json, "
         "application/vnd.docker.distribution.manifest.list.v2+json, "
         "application/vnd.oci.image.manifest.v1+json, "
         "application/vnd.docker.distribution.manifest.v2+json"_kj;
}

Document parseDocument(kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr claimedType,
                       kj::StringPtr subject, const DocumentLimits& limits) {
  JsonLimits jsonLimits;
  jsonLimits.bytes = limits.manifestBytes;
  auto claimed = essence(claimedType);
  if (claimed.startsWith(kDockerSchema1)) {
    fail(FailureCode::UNSUPPORTED, subject, "the manifest has Docker's obsolete schema 1",
         "push the image again with a tool of this decade");
  }
  auto value = parseJson(bytes, "manifest", subject, jsonLimits);
  JsonView root(value, "manifest", subject);

  auto version = root.required("schemaVersion").number();
  if (version == 1) {
    fail(FailureCode::UNSUPPORTED, subject, "the manifest has Docker's obsolete schema 1",
         "push the image again with a tool of this decade");
  }
  if (version != 2) root.reject(kj::str("has schemaVersion ", version, ", not 2"));

  bool index = root.has("manifests");
  bool manifest = root.has("layers") || root.has("config") || root.has("fsLayers");
  if (index && manifest) root.reject("could be read both as an index and as a manifest");
  if (!index && !manifest) root.reject("is neither an index nor a manifest");

  auto shape = index ? Shape::index : Shape::manifest;
  auto mediaType = root.textOf("mediaType", 256);
  if (mediaType.size() > 0 && shapeOf(mediaType) != shape) {
    root.reject(kj::str("says it is ", printable(mediaType, 128), ", which its content is not"));
  }
  auto claimedShape = shapeOf(claimed);
  if (claimedShape != Shape::unknown &&
      (claimedShape != shape || (mediaType.size() > 0 && mediaType != claimed))) {
    root.reject(kj::str("came as ", printable(claimed, 128), ", which it is not"));
  }
  if (index) return readIndex(root, subject, limits);
  return readManifest(root, subject, limits);
}

const IndexEntry& selectEntry(const Index& index, kj::StringPtr tag, const PlatformName& wanted,
                              kj::StringPtr subject) {
  const IndexEntry* best = nullptr;
  const IndexEntry* open = nullptr;
  uint bestFit = 0;
  uint opens = 0;
  bool tagSeen = false;
  kj::Vector<kj::String> offers;
  for (const auto& entry : index.entries) {
    if (tag.size() > 0 && entry.referenceName != tag) continue;
    tagSeen = true;
    if (isNoImage(entry)) continue;
    KJ_IF_MAYBE (platform, entry.platform) {
      KJ_IF_MAYBE (fit, platformFit(wanted, *platform)) {
        if (*fit > bestFit) {
          bestFit = *fit;
          best = &entry;
        }
      }
      if (offers.size() < 32) offers.add(platform->describe());
    } else {
      ++opens;
      if (open == nullptr) open = &entry;
    }
  }
  if (best != nullptr) return *best;
  if (opens == 1) return *open;
  if (tag.size() > 0 && !tagSeen) {
    fail(FailureCode::NOT_FOUND, subject, kj::str("there is no tag '", tag, "' in the index"));
  }
  if (opens > 1) {
    fail(FailureCode::INVALID, subject, "the index holds several images and does not say for what",
         "name a tag");
  }
  fail(FailureCode::WRONG_PLATFORM, subject, kj::str("there is no image for ", wanted.describe()),
       offers.size() == 0 ? kj::str("there is none for any platform")
                          : kj::str("there is: ", printable(kj::strArray(offers, ", "), 512)));
}

ImageConfig parseImageConfig(kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr subject,
                             const DocumentLimits& limits) {
  JsonLimits jsonLimits;
  jsonLimits.bytes = limits.configBytes;
  auto value = parseJson(bytes, "image configuration", subject, jsonLimits);
  JsonView root(value, "image configuration", subject);

  ImageConfig config;
  config.platform = {root.required("os").text(64), root.required("architecture").text(64),
                     root.textOf("variant", 64)};
  config.createdUnixSeconds = parseTimestamp(root.textOf("created", 64)).orDefault(0);
  auto rootfs = root.required("rootfs");
  if (rootfs.required("type").text(64) != "layers") rootfs.reject("is not made of layers");
  for (const auto& item : rootfs.required("diff_ids").items(limits.layers)) {
    config.diffIds.add(Digest::parse(item.text(256), subject));
  }
  KJ_IF_MAYBE (process, root.member("config")) {
    config.entrypoint = texts(*process, "Entrypoint");
    config.command = texts(*process, "Cmd");
    config.environment = texts(*process, "Env");
    config.workingDirectory = process->textOf("WorkingDir");
    config.user = process->textOf("User");
    config.stopSignal = process->textOf("StopSignal", 64);
    KJ_IF_MAYBE (labels, process->member("Labels")) {
      for (auto& label : labels->members(4096)) {
        config.labels.add(ImageConfig::Label{kj::str(label.key), label.value.text(64u << 10)});
      }
    }
  }
  return config;
}

void writeResult(kj::ArrayPtr<const kj::byte> manifestBytes, const Manifest& manifest,
                 kj::ArrayPtr<const kj::byte> configBytes, const ImageConfig& config,
                 const PlatformName& wanted, kj::StringPtr subject,
                 schema::ResolveResult::Builder out) {
  if (configBytes.size() != manifest.config.size || !manifest.config.digest.names(configBytes)) {
    fail(FailureCode::DIGEST_MISMATCH, subject,
         kj::str("the configuration is not the one the manifest names, ", manifest.config.digest));
  }
  // The index may say one platform and the image another (CVE-2022-24778): both count.
  if (platformFit(wanted, config.platform) == nullptr) {
    fail(FailureCode::WRONG_PLATFORM, subject,
         kj::str("the image is for ", printable(config.platform.describe(), 128)),
         kj::str("wanted is ", wanted.describe()));
  }
  if (config.diffIds.size() != manifest.layers.size()) {
    fail(FailureCode::INVALID, subject,
         kj::str("the manifest has ", manifest.layers.size(), " layers, the configuration ",
                 config.diffIds.size()));
  }
  out.setManifest(manifestBytes);
  out.setManifestDigest(Digest::of(manifestBytes).toString());
  out.setConfig(configBytes);
  out.setConfigDigest(manifest.config.digest.toString());
  auto layers = out.initLayers(static_cast<uint>(manifest.layers.size()));
  for (uint i = 0; i < layers.size(); ++i) {
    layers[i].setDigest(manifest.layers[i].descriptor.digest.toString());
    layers[i].setSize(manifest.layers[i].descriptor.size);
    layers[i].setCompression(manifest.layers[i].compression);
    layers[i].setDiffId(config.diffIds[i].toString());
  }
  config.platform.write(out.initPlatform());
  out.setType(imageType(manifest, config, subject));
  out.setCreatedUnixSeconds(config.createdUnixSeconds);
  auto container = out.initContainer();
  writeTexts(config.entrypoint,
             container.initEntrypoint(static_cast<uint>(config.entrypoint.size())));
  writeTexts(config.command, container.initCommand(static_cast<uint>(config.command.size())));
  writeTexts(config.environment,
             container.initEnvironment(static_cast<uint>(config.environment.size())));
  container.setWorkingDirectory(config.workingDirectory);
  container.setUser(config.user);
  container.setStopSignal(config.stopSignal);
  auto labels = container.initLabels(static_cast<uint>(config.labels.size()));
  for (uint i = 0; i < labels.size(); ++i) {
    labels[i].setKey(config.labels[i].key);
    labels[i].setValue(config.labels[i].value);
  }
}

}  // namespace bulkhead
