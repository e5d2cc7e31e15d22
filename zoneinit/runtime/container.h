// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-unix.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "zoneinit/runtime/cgroup.h"
#include "zoneinit/runtime/container-root.h"
#include "zoneinit/runtime/log-ring.h"
#include "zoneinit/runtime/process-start.h"
#include "zoneinit/runtime/process.h"

namespace bulkhead::zone {

// What containers need of their surroundings. Outlives them all.
struct RuntimeContext {
  kj::UnixEventPort& eventPort;
  kj::Timer& timer;
  RuntimePaths paths;
  CgroupTree& cgroups;
};

class Container;

// The other containers of the zone.
class Neighbours {
 public:
  virtual kj::Maybe<Container&> findContainer(kj::StringPtr id) = 0;

 protected:
  ~Neighbours() = default;
};

// One container, from its preparation to the removal of its last trace. All failures are typed as
// schemas/agent.capnp says.
class Container final : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
 public:
  enum class State : uint8_t { created, running, exited };

  // Mounts the root and makes the cgroup. `zoneHostname` stands in for an empty one in the spec.
  Container(RuntimeContext& context, Neighbours& neighbours, ContainerSpec spec,
            kj::StringPtr zoneHostname, const NameFiles& files);
  ~Container() noexcept(false) override;

  kj::StringPtr id() const { return spec.id; }
  State state() const;
  LogRing& log() { return ring; }
  kj::Timer& timer() { return context.timer; }
  const ContainerSpec& specification() const { return spec; }

  // Its cgroup's directory, borrowed; none once it is destroyed.
  kj::Maybe<int> cgroupDirectory() const {
    return cgroup.map([](const kj::Own<Cgroup>& own) { return own->fd(); });
  }

  // Starts the container's own process, once.
  kj::Promise<kj::Own<Process>> start(ProcessSinks sinks, InputMode input);

  // The one `start` started. Fails with `busy` before.
  kj::Own<Process> process();

  // Starts a further process; its output is not kept in the log.
  kj::Promise<kj::Own<Process>> execute(ProcessSpec process, ProcessSinks sinks, InputMode input);

  // The same with a program of the agent's own, open as a descriptor that is borrowed until this
  // resolves: `process.arguments[0]` is only what it is told to be called.
  kj::Promise<kj::Own<Process>> executeProgram(int program, ProcessSpec process, ProcessSinks sinks,
                                               InputMode input);

  // The stop signal, and SIGKILL to everything after the grace period.
  kj::Promise<ExitStatus> stop(kj::Duration grace);

  // Kills everything, and removes root and cgroup. Idempotent.
  kj::Promise<void> destroy();
  bool destroyed() const { return root == nullptr; }

  // New contents for its /etc files.
  void writeNameFiles(const NameFiles& files);

 private:
  RuntimeContext& context;
  Neighbours& neighbours;
  ContainerSpec spec;
  kj::String hostname;
  LogRing ring;
  kj::Maybe<kj::Own<Cgroup>> cgroup;  // destroyed last of the three: nothing may run any more
  kj::Maybe<kj::Own<ContainerRoot>> root;
  kj::AutoCloseFd userNamespace;  // none where the users are the zone's
  kj::AutoCloseFd pseudoTerminals;
  bool started = false;
  uint running = 0;                    // processes not yet at the end of their output
  uint nextPart = 0;                   // number of the next process with a cgroup of its own
  kj::Maybe<SystemCallFilter> filter;  // the one made last, and for which capabilities
  CapabilityMask filterMask = 0;
  kj::Maybe<kj::Own<Process>> mainProcess;
  kj::TaskSet tasks;

  kj::Promise<kj::Own<Process>> launchFirst(ProcessSpec process, ProcessSinks sinks,
                                            InputMode input);
  kj::Promise<kj::Own<Process>> launchFurther(ProcessSpec process, ProcessSinks sinks,
                                              InputMode input, kj::Maybe<int> program);
  StartSurroundings surroundings();
  kj::Own<Process> launchIn(int group, ProcessStart& start, ProcessSinks sinks,
                            kj::Maybe<LogRing&> log, kj::Maybe<SetUpReport>& report);
  kj::Maybe<Process&> liveProcess();
  Process& runningProcess();
  kj::Promise<void> keepRunning(kj::Own<Process> process);
  kj::Promise<void> keepTime(kj::Own<Process> process, kj::Duration timeout, kj::AutoCloseFd group);
  kj::Promise<void> keepPart(kj::Own<Process> process, kj::Duration timeout, kj::Own<Cgroup> part);
  kj::Promise<void> setUp(Process& process, SetUpReport report, kj::StringPtr command);
  kj::Maybe<const SystemCallFilter&> filterFor(CapabilityMask capabilities);
  OwnerMap owners() const;
  void adoptUsers();
  int processOf(kj::StringPtr workload);
  void writeFiles(const NameFiles& files);
  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace bulkhead::zone
