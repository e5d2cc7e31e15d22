// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/function.h>
#include <kj/vector.h>

#include "zoneinit/runtime/child.h"
#include "zoneinit/runtime/settings.h"

namespace bulkhead::zone {

// CLONE_NEW* of what a container's first process gets as its own, its mounts included.
uint64_t freshNamespaces(const ContainerSettings& settings);

// CLONE_NEW* of what a further process enters: all that are not the zone's, without that of
// processes, which is chosen at birth.
int enteredNamespaces(const ContainerSettings& settings);

// Namespaces of other workloads that the first process enters. That of users comes last, when the
// container is made: who has entered it makes no mounts in a namespace from outside.
struct JoinedNamespaces {
  kj::Vector<NamespaceJoin> joins;
  int users = -1;  // pidfd of the process whose users it has, or -1
  int birth = -1;  // pidfd of the process in whose process namespace it is born, or -1
};

// `processOf` gives a running workload's pidfd.
JoinedNamespaces joinedNamespaces(const ContainerSettings& settings,
                                  kj::FunctionParam<int(kj::StringPtr)> processOf);

}  // namespace bulkhead::zone
