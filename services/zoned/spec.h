// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "schemas/image.capnp.h"
#include "schemas/platform.capnp.h"
#include "services/zoned/config.h"

namespace bulkhead {

constexpr uint32_t kLeastMemoryMiB = 48;
constexpr uint32_t kMostMemoryMiB = 1u << 20;
constexpr uint16_t kMostVcpus = 64;

// Checks every field of a client's specification and writes it out with the defaults filled in,
// except for the name, which may stay empty. Fails with `invalid`; the subject is the field.
void normalizeSpec(schema::ZoneSpec::Reader spec, const ZonedConfig& config,
                   schema::ZoneSpec::Builder normal);

// Checks what a client asks to be run in a zone that exists already. Fails with `invalid`.
void checkProcess(schema::ProcessSpec::Reader process);

// What the workload's first process is, from what the image says and what the client wants, by the
// rules people know from other container tools: the client's arguments replace the image's command;
// an entry point of the client's replaces both of the image's; environments are joined, the
// client's values winning. `hostname` and a search path are part of every environment. Fails with
// `noEntrypoint` when nothing is left to run; `image` names the image in that error.
void mergeProcess(kj::StringPtr image, schema::ContainerConfig::Reader config,
                  schema::ZoneSpec::Reader spec, kj::StringPtr hostname,
                  schema::ProcessSpec::Builder merged);

// What a further process in a zone is: environment, directory and user of the first one unless the
// client says otherwise; what it may do is what the first one may.
void mergeExec(schema::ProcessSpec::Reader first, schema::ProcessSpec::Reader wanted,
               schema::ProcessSpec::Builder merged);

}  // namespace bulkhead
