// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/step.h"

namespace bulkhead::zone {

kj::StringPtr stepName(Step step) {
  switch (step) {
    case Step::joinNamespaces:
      return "joining the container's namespaces";
    case Step::userNamespace:
      return "entering a user namespace";
    case Step::cgroupNamespace:
      return "entering a cgroup namespace";
    case Step::privateMounts:
      return "making mounts private";
    case Step::rootMount:
      return "opening the container's root";
    case Step::kernelMount:
      return "mounting a file system of the kernel";
    case Step::deviceMount:
      return "mounting /dev";
    case Step::terminal:
      return "setting up the terminal";
    case Step::nameFiles:
      return "mounting files in /etc";
    case Step::listedMount:
      return "making a mount of the specification";
    case Step::systemSettings:
      return "writing a sysctl";
    case Step::maskPaths:
      return "masking paths";
    case Step::pivotRoot:
      return "changing the root";
    case Step::hostname:
      return "setting the host name";
    case Step::loopback:
      return "bringing up the loopback interface";
    case Step::workingDirectory:
      return "changing to the working directory";
    case Step::standardStreams:
      return "connecting standard streams";
    case Step::memoryScore:
      return "setting oom_score_adj";
    case Step::limits:
      return "setting resource limits";
    case Step::user:
      return "changing the user";
    case Step::capabilities:
      return "dropping capabilities";
    case Step::appArmor:
      return "choosing the AppArmor profile";
    case Step::systemCallFilter:
      return "loading the system call filter";
    case Step::execute:
      return "executing the command";
  }
  return "an unknown step";
}

}  // namespace bulkhead::zone
