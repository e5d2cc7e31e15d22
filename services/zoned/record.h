// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <capnp/message.h>
#include <kj/vector.h>
#include <sys/types.h>

#include "schemas/platform.capnp.h"
#include "services/runtime/failure.h"
#include "services/runtime/uuid.h"

namespace bulkhead {

using ZoneState = schema::ZoneInfo::State;

struct ZoneExit {
  enum class Kind { code, signal };
  Kind kind;
  int32_t value;
  bool outOfMemory;
  kj::String reason;

  static ZoneExit from(schema::ExitStatus::Reader status);
  void writeTo(schema::ExitStatus::Builder status) const;
};

struct Phase {
  kj::String name;
  uint64_t nanoseconds;
};

// Everything that is known of one zone and outlives the process.
struct ZoneRecord {
  Uuid id;
  kj::String name;
  uid_t owner = 0;
  ZoneState state = ZoneState::CREATING;
  uint64_t createdNanoseconds = 0;  // since 1970
  uint64_t readyNanoseconds = 0;    // since 1970; 0: not yet
  kj::Maybe<ZoneExit> exit;
  kj::Maybe<Failure> failure;
  uint32_t domid = 0;
  schema::Virtualization virtualization = schema::Virtualization::AUTOMATIC;
  kj::Vector<kj::String> addresses;
  kj::String kernelVersion;
  kj::Vector<Phase> phases;
  kj::Vector<kj::String> imageDigests;  // manifests of the images the zone is made of

  // The specification with its defaults filled in; its process becomes the merged one once the
  // image is known.
  kj::Own<capnp::MallocMessageBuilder> specMessage = kj::heap<capnp::MallocMessageBuilder>();

  schema::ZoneSpec::Builder spec() { return specMessage->getRoot<schema::ZoneSpec>(); }

  // The zone's own host name.
  kj::StringPtr hostname();

  void writeTo(schema::ZoneInfo::Builder info);

  // The parts that `writeTo` wrote, but for the typed failure and the specification.
  void readFrom(schema::ZoneInfo::Reader info);
};

// Nanoseconds since 1970 by the host's clock.
uint64_t unixNanoseconds();

}  // namespace bulkhead
