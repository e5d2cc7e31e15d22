// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/one-of.h>
#include <kj/vector.h>

#include "imaged/digest.h"
#include "imaged/platform.h"
#include "schemas/image-worker.capnp.h"

namespace bulkhead {

// The documents of an image: OCI image specification 1.1 ("Image Index", "Image Manifest",
// "Image Configuration") and Docker's image manifest version 2, schema 2, which is the same in
// other words. All of it is a stranger's text and is parsed in the workers only.

// How many of anything an image may have.
struct DocumentLimits {
  size_t manifestBytes = 4u << 20;
  size_t configBytes = 8u << 20;
  size_t layers = 200;  // one message carries 253 descriptors
  size_t indexEntries = 2048;
  uint indexDepth = 4;
};

struct Descriptor {
  kj::String mediaType;
  Digest digest;
  uint64_t size;
};

struct IndexEntry {
  Descriptor descriptor;
  kj::Maybe<PlatformName> platform;
  kj::String referenceName;  // annotation org.opencontainers.image.ref.name: a layout's tag
  kj::String artifactType;   // empty for an image
};

struct Index {
  kj::Vector<IndexEntry> entries;
};

struct LayerDescriptor {
  Descriptor descriptor;
  schema::Layer::Compression compression;
};

struct Manifest {
  Descriptor config;
  kj::Vector<LayerDescriptor> layers;
  kj::String typeAnnotation;  // org.bulkhead.image.type
};

struct ImageConfig {
  PlatformName platform;
  kj::Vector<Digest> diffIds;
  int64_t createdUnixSeconds = 0;
  kj::Vector<kj::String> entrypoint;
  kj::Vector<kj::String> command;
  kj::Vector<kj::String> environment;
  kj::String workingDirectory;
  kj::String user;
  kj::String stopSignal;
  struct Label {
    kj::String key;
    kj::String value;
  };
  kj::Vector<Label> labels;
};

using Document = kj::OneOf<Index, Manifest>;

// The media types to ask a registry for, as one Accept header's value.
kj::StringPtr acceptedManifestTypes();

// An index or a manifest. `claimedType` is what the transport or the descriptor says it is; it may
// be empty, and where it is not, it must not disagree. Documents that could be read as both are
// refused (CVE-2021-41190). Fails with `invalid`, `unsupported`, `exhausted`.
Document parseDocument(kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr claimedType,
                       kj::StringPtr subject, const DocumentLimits& limits = {});

// The entry for a platform; with `tag` only entries of that name count. Entries that are indexes
// themselves or that say no platform are taken when nothing fits by name, if there is one only.
// Fails with `wrongPlatform` and lists what there is, or `notFound` for a tag.
const IndexEntry& selectEntry(const Index& index, kj::StringPtr tag, const PlatformName& wanted,
                              kj::StringPtr subject);

ImageConfig parseImageConfig(kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr subject,
                             const DocumentLimits& limits = {});

// Checks configuration and manifest against each other and the platform wanted, and writes what
// imaged keeps of them. The digests are checked here, against the bytes; the manifest's is always
// the SHA-256, by which the store knows it.
void writeResult(kj::ArrayPtr<const kj::byte> manifestBytes, const Manifest& manifest,
                 kj::ArrayPtr<const kj::byte> configBytes, const ImageConfig& config,
                 const PlatformName& wanted, kj::StringPtr subject,
                 schema::ResolveResult::Builder out);

}  // namespace bulkhead
