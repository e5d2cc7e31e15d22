// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/namespaces.h"

#include <linux/sched.h>

namespace bulkhead::zone {
namespace {

using From = NamespaceChoice::From;

uint64_t flagOf(NamespaceKind kind) {
  switch (kind) {
    case NamespaceKind::process:
      return CLONE_NEWPID;
    case NamespaceKind::network:
      return CLONE_NEWNET;
    case NamespaceKind::ipc:
      return CLONE_NEWIPC;
    case NamespaceKind::hostName:
      return CLONE_NEWUTS;
    case NamespaceKind::cgroup:
      return CLONE_NEWCGROUP;
    case NamespaceKind::user:
      return CLONE_NEWUSER;
    case NamespaceKind::time:
      return CLONE_NEWTIME;
  }
  return 0;
}

template <typename Each>
void forEachKind(const ContainerSettings& settings, Each each) {
  for (size_t i = 0; i < kNamespaceKinds; ++i) {
    auto kind = static_cast<NamespaceKind>(i);
    each(settings.choice(kind), flagOf(kind));
  }
}

}  // namespace

uint64_t freshNamespaces(const ContainerSettings& settings) {
  uint64_t flags = CLONE_NEWNS;
  forEachKind(settings, [&](const NamespaceChoice& choice, uint64_t flag) {
    if (choice.from == From::own) flags |= flag;
  });
  return flags;
}

int enteredNamespaces(const ContainerSettings& settings) {
  uint64_t flags = CLONE_NEWNS;
  forEachKind(settings, [&](const NamespaceChoice& choice, uint64_t flag) {
    if (choice.from != From::zone && flag != CLONE_NEWPID) flags |= flag;
  });
  return static_cast<int>(flags);
}

JoinedNamespaces joinedNamespaces(const ContainerSettings& settings,
                                  kj::FunctionParam<int(kj::StringPtr)> processOf) {
  JoinedNamespaces joined;
  forEachKind(settings, [&](const NamespaceChoice& choice, uint64_t flag) {
    if (choice.from != From::workload) return;
    int process = processOf(choice.workload);
    if (flag == CLONE_NEWPID) joined.birth = process;
    if (flag == CLONE_NEWUSER) joined.users = process;
    if (flag == CLONE_NEWPID || flag == CLONE_NEWUSER) return;
    for (auto& join : joined.joins) {
      if (join.process != process) continue;
      join.namespaces |= static_cast<int>(flag);
      return;
    }
    joined.joins.add(NamespaceJoin{process, static_cast<int>(flag)});
  });
  return joined;
}

}  // namespace bulkhead::zone
