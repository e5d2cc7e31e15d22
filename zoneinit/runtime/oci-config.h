// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <kj/function.h>

#include "schemas/agent.capnp.h"
#include "zoneinit/runtime/checked-json.h"

namespace bulkhead::zone {

// A bundle's config.json (OCI Runtime Specification 1.2, config.md, config-linux.md) as a
// workload's specification; `bundle` is the absolute path of the bundle's directory in the zone.
// All but `id` is written.
//
// Fails with `invalid`, naming the property, for what is no configuration, and with `unsupported`
// for one that asks for what this runtime has not. What concerns a host and means nothing in a zone
// is passed over: annotations, linux.cgroupsPath.
void readOciConfig(kj::ArrayPtr<const kj::byte> json, kj::StringPtr bundle,
                   schema::WorkloadSpec::Builder spec);

// Its parts.
void readOciMounts(const CheckedJson& mounts, kj::StringPtr bundle,
                   schema::ContainerSettings::Builder settings);
void readOciLinux(const CheckedJson& section, schema::WorkloadSpec::Builder spec);

// A path that may be relative to the bundle.
kj::String bundlePath(kj::StringPtr bundle, kj::StringPtr path);

// "rslave" and the like; nothing for another word.
kj::Maybe<schema::Propagation> ociPropagation(kj::StringPtr word);

// Fails with `unsupported` for a member that is not among these.
void expectMembers(const CheckedJson& object, std::initializer_list<kj::StringPtr> known);

// The texts of an array.
void readOciTexts(const CheckedJson& array, size_t most,
                  kj::FunctionParam<capnp::List<capnp::Text>::Builder(uint)> init);

}  // namespace bulkhead::zone
