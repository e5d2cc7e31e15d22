// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/vector.h>

#include "zoneinit/runtime/child.h"
#include "zoneinit/runtime/process.h"
#include "zoneinit/runtime/set-up-report.h"
#include "zoneinit/runtime/spec.h"
#include "zoneinit/runtime/standard-streams.h"
#include "zoneinit/runtime/user-database.h"

namespace bulkhead::zone {

// What of a container its processes are started with. Everything is borrowed.
struct StartSurroundings {
  int root;             // its root directory
  int pseudoTerminals;  // its devpts instance
  kj::StringPtr hostname;
  const ContainerSettings& settings;
};

// A process's environment with what every program may expect added.
class ProcessEnvironment {
 public:
  ProcessEnvironment(const ProcessSpec& spec, const UserIdentity& user, kj::StringPtr hostname);

  kj::ArrayPtr<const char* const> asPointers() const { return pointers; }

  // The value of PATH.
  const char* path() const;

 private:
  kj::Vector<kj::String> entries;
  kj::Vector<const char*> pointers;

  kj::Maybe<kj::StringPtr> find(kj::StringPtr key) const;
  void addIfMissing(kj::StringPtr key, kj::StringPtr value);
};

// What a child is started with, kept until it is born: `plan` points into it and into the
// specification. What belongs to one kind of process only (the container, the joining, the filter)
// the caller adds to the plan. Fails with `invalid` for a user or group that the image, or the
// container's user namespace, has not.
class ProcessStart {
 public:
  ProcessStart(const StartSurroundings& container, const ProcessSpec& process, InputMode input);
  KJ_DISALLOW_COPY_AND_MOVE(ProcessStart);

  ChildPlan plan{};

  // The parent's ends of the standard streams, once.
  ProcessStreams takeStreams() { return kj::mv(streams.parent); }

 private:
  UserIdentity user;
  ProcessEnvironment environment;
  kj::Vector<const char*> arguments;
  StandardStreams streams;
  kj::String oomScore;

  void giveStreams(uid_t owner);
};

}  // namespace bulkhead::zone
