// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "schemas/hypervisor.capnp.h"
#include "services/runtime/uuid.h"

namespace bulkhead::hvd {

using Access = schema::DiskSpec::Access;
using schema::Virtualization;

struct DiskConfig {
  kj::String name;  // "xvda" to "xvdp"
  uint32_t device;  // xenbus device number of the name: xvda is 51712
  Access access;
};

struct VifConfig {
  uint32_t index;
  kj::String mac;
  uint32_t backendDomain;
  uint32_t mtu;  // 0: the default
};

// A domain spec whose every field was checked; descriptors are taken apart.
struct DomainConfig {
  Uuid uuid;
  kj::String name;
  kj::String commandLine;
  uint32_t memoryMiB;
  uint32_t maxMemoryMiB;
  uint32_t vcpus;
  uint32_t maxVcpus;
  Virtualization virtualization;
  kj::Vector<DiskConfig> disks;
  kj::Vector<VifConfig> vifs;
};

// The limits of schemas/hypervisor.capnp, checked again here because what passes reaches xenstore
// paths and the hypervisor. Each fails with `invalid`, the field as subject.
DomainConfig checkSpec(schema::DomainSpec::Reader spec);
DiskConfig checkDisk(schema::DiskSpec::Reader spec);
VifConfig checkVif(schema::VifSpec::Reader spec);

// A whole number in decimal, without sign, leading zero or anything else, up to 2^32-1: the one
// form in which a number of a guest is accepted.
kj::Maybe<uint32_t> parseStrictly(kj::ArrayPtr<const char> text);

}  // namespace bulkhead::hvd
