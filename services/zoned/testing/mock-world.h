// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/map.h>

#include "schemas/hypervisor.capnp.h"
#include "schemas/idm.capnp.h"
#include "schemas/image.capnp.h"
#include "schemas/network.capnp.h"
#include "services/runtime/uuid.h"

namespace bulkhead::testing {

// What the four services do, without Xen, network or images: enough of each for a zone to live.
// Tests look at `calls` and at what is left, and make steps fail by name.
//
// The container's process is an interpreter of its own arguments: "echo WORDS" prints them,
// "exit N" ends with N, "cat" copies its input, "sleep" runs until it gets a signal, "environment"
// prints its environment.
class MockWorld {
 public:
  explicit MockWorld(kj::LowLevelAsyncIoProvider& provider) : provider(provider) {}
  KJ_DISALLOW_COPY_AND_MOVE(MockWorld);

  kj::LowLevelAsyncIoProvider& provider;

  // A step that fails: "pull", "attach", "createDomain", "connect", "ring" (never offered),
  // "crash" (the kernel panics while it boots), "link", "configure", "createWorkload", "start".
  kj::String failing;

  // Each call that changed the world, as "createDomain NAME", "destroy NAME", "attach", "release".
  kj::Vector<kj::String> calls;

  struct MockProcess : public kj::Refcounted {
    kj::Maybe<int> code;
    kj::Maybe<int> signal;
    kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiters;
    bool hasEnded() const { return code != nullptr || signal != nullptr; }
    void end();
  };

  struct MockFile : public kj::Refcounted {
    kj::Vector<kj::byte> bytes;
  };

  struct MockDomain : public kj::Refcounted {
    Uuid id;
    kj::String name;
    kj::String commandLine;
    uint32_t domid = 0;
    uint32_t memoryMiB = 0;
    uint64_t epoch = 0;  // of the ring it offers; 0: none yet
    bool paused = true;
    bool destroyed = false;
    bool crashed = false;
    bool linked = false;
    kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiters;  // for any change

    // Inside the zone.
    bool configured = false;
    bool hasWorkload = false;
    kj::Vector<kj::String> arguments;
    kj::Vector<kj::String> environment;
    kj::Maybe<kj::Own<MockProcess>> process;
    // Archives by path: those that were put, and those a test has to be got.
    kj::HashMap<kj::String, kj::Own<MockFile>> files;

    void change();
  };

  kj::Vector<kj::Own<MockDomain>> domains;
  kj::HashMap<kj::String, bool> attachments;  // by the zone's UUID
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> linkClosers;

  void call(kj::StringPtr what) { calls.add(kj::str(what)); }
  bool called(kj::StringPtr what) const;
  void failIf(kj::StringPtr step);

  // Nothing of any zone is left.
  bool empty() const { return domains.size() == 0 && attachments.size() == 0; }

  // Cuts every link, as a restart of idmd would.
  void cutLinks();

  schema::Hypervisor::Client hypervisor();
  schema::ImageStore::Client images();
  schema::Network::Client network();
  schema::Router::Client rings();
};

}  // namespace bulkhead::testing
