# SPDX-License-Identifier: Apache-2.0
#
# The agent inside a zone, reached over its ring. Everything it answers is under the zone's control
# and is treated so; what it is asked comes from dom0 only.

@0x8f5e21b7d9c34707;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");
using Common = import "common.capnp";
using Network = import "network.capnp";
using Container = import "container.capnp";

interface ZoneAgent {
  info @0 () -> (info :AgentInfo);

  configure @1 (config :ZoneConfig) -> ();
  # Hostname, resolver, interfaces. Interfaces are found by MAC address; returns when the ones
  # that are present have their addresses, later ones get theirs when they appear. May be called
  # again with a whole new configuration.

  createWorkload @2 (spec :WorkloadSpec) -> (workload :Workload);
  # Prepares a container: root, namespaces, cgroup. Errors: `alreadyExists` (the id), `invalid`,
  # `noEntrypoint`.

  workloads @3 () -> (workloads :List(WorkloadEntry));

  metrics @4 () -> (metrics :Metrics);
  # What the zone and its workloads have used up to now.

  freeze @5 () -> (handle :Common.Handle);
  watchKernelEvents @6 (sink :Common.ByteStream) -> (handle :Common.Handle);

  processes @7 () -> (processes :List(ProcessEntry), omitted :UInt32);
  # What runs in the zone, kernel threads left out; 4096 at most, `omitted` more were there.

  createFromBundle @8 (id :Text, config :Data, bundle :Text) -> (workload :Workload);
  # As `createWorkload`, from a bundle of the OCI runtime specification: its config.json, 1 MiB at
  # most, and the absolute path of its directory in the zone. Writes to the root stay in memory.
  # Errors besides: `unsupported`, naming the property, for what the runtime has not.
}

struct AgentInfo {
  kernelVersion @0 :Text;         # uname -r
  agentVersion @1 :Text;
  bootNanoseconds @2 :UInt64;     # CLOCK_BOOTTIME when the agent offered its ring
  memoryTotalKiB @3 :UInt64;
  memoryAvailableKiB @4 :UInt64;
}

struct ZoneConfig {
  hostname @0 :Text;
  interfaces @1 :List(Network.InterfacePlan);
  nameservers @2 :List(Common.IpAddress);
  searchDomains @3 :List(Text);
  hosts @4 :List(Common.KeyValue);     # name to address, for /etc/hosts
}

struct WorkloadSpec {
  id @0 :Text;                         # [a-z0-9-], 63 at most
  rootDisk @1 :Text;                   # block device: "xvda"
  process @2 :Container.ProcessSpec;
  hostname @3 :Text;                   # empty: the zone's
  memoryLimitBytes @4 :UInt64;         # 0: none
  pidsLimit @5 :UInt32;                # 0: the default
  readOnlyRoot @6 :Bool;
  logBytes @7 :UInt64;                 # how much output is kept; 0: the default of 1 MiB
  networkMode @8 :NetworkMode;
  enum NetworkMode {
    zone @0;      # the zone's own interfaces
    none @1;
  }
  stopSignal @9 :Text;                 # as in ContainerConfig: "SIGTERM", "15"; empty: SIGTERM
  settings @10 :Container.ContainerSettings;
  rootDirectory @11 :Text;             # a directory of the zone, in place of rootDisk
}

struct WorkloadEntry {
  id @0 :Text;
  workload @1 :Workload;
  state @2 :State;
  enum State {
    created @0;
    running @1;
    exited @2;
  }
}

# Where a process's output goes. A null stream: only the log.
struct Stdio {
  stdout @0 :Common.ByteStream;
  stderr @1 :Common.ByteStream;        # unused with a terminal
  stdin @2 :StdinMode;
  enum StdinMode {
    closed @0;
    piped @1;     # `Process.stdin` gives the stream
  }
}

# One container. Dropping it changes nothing.
interface Workload {
  start @0 (stdio :Stdio) -> (process :Process);
  # Starts the container's process, once. Errors: `commandNotFound`, `commandNotExecutable`,
  # `notFound` (what is to be mounted), `unsupported`, `invalid` (user, working directory, a setting
  # that the kernel refuses), `timeout`, each naming the step and the errno.

  process @1 () -> (process :Process);
  # The running, or ended, process. Errors: `busy` when it was not started.

  exec @2 (spec :Container.ProcessSpec, stdio :Stdio) -> (process :Process);
  # A further process in the same container. Errors as `start`; `busy` when it does not run.

  logs @3 (options :LogOptions, stdout :Common.ByteStream, stderr :Common.ByteStream) -> ()
      $Cxx.allowCancellation;
  # Streams what is kept, oldest first, then with `follow` what comes until the container ends.
  # Returns at the end.

  stop @4 (graceMilliseconds :UInt32) -> (status :Common.ExitStatus);
  # Stop signal, then after the grace SIGKILL to everything in it.

  destroy @5 () -> ();
  # Kills what runs and removes root, cgroup and log. Idempotent.

  putFiles @6 (directory :Text) -> (archive :Common.ByteStream);
  # Unpacks a tar archive below a directory of the container, which must be there, as root in the
  # container sees and owns files; nothing of the archive leaves that directory. `end` returns when
  # all is in place. Errors: `notFound`, `invalid` (no directory; no archive), `exhausted` (no space).

  getFiles @7 (path :Text, into :Common.ByteStream) -> () $Cxx.allowCancellation;
  # Packs a file, or a directory with all below it, as a tar archive (pax) with the last part of the
  # path as its name; of a path that ends in "/." what is in the directory, below "./". Returns when
  # all was taken. Errors: `notFound`, `invalid` ("/." behind no directory), `cancelled` (nobody
  # takes it).
}

struct LogOptions {
  follow @0 :Bool;
  tailLines @1 :UInt32;      # 0: all that is kept
  sinceUnixNanoseconds @2 :UInt64;     # 0: all that is kept
  untilUnixNanoseconds @3 :UInt64;     # 0: up to now; with `follow`: without end
  timestamps @4 :Bool;       # in front of each line: when its first byte was read, RFC 3339, UTC
}

# One process. Dropping it does not end it.
interface Process {
  wait @0 () -> (status :Common.ExitStatus) $Cxx.allowCancellation;
  # Returns when it has ended and its output was handed over. Any number may wait.

  signal @1 (number :Int32) -> ();
  # To the process alone; for a terminal's foreground group, send the key instead.

  stdin @2 () -> (stream :Common.ByteStream);
  # Once; `end` closes the process's input.

  resize @3 (size :Container.TerminalSize) -> ();

  info @4 () -> (pid :UInt32);
  # As seen in the zone.
}

struct Metrics {
  zone @0 :Usage;                  # the kernel and the agent included
  workloads @1 :List(WorkloadUsage);
}

struct WorkloadUsage {
  id @0 :Text;
  usage @1 :Usage;
}

# Counters since the start, unless it says otherwise.
struct Usage {
  cpuNanoseconds @0 :UInt64;
  cpuUserNanoseconds @1 :UInt64;
  cpuSystemNanoseconds @2 :UInt64;
  memoryBytes @3 :UInt64;          # now
  memoryPeakBytes @4 :UInt64;      # 0: not known
  memoryLimitBytes @5 :UInt64;     # of a zone: all it has; 0: none of its own
  readBytes @6 :UInt64;            # from disks
  writtenBytes @7 :UInt64;
  processes @8 :UInt32;            # threads counted as well, now
  outOfMemoryKills @9 :UInt32;
  cpuPressure @10 :Pressure;
  memoryPressure @11 :Pressure;
  ioPressure @12 :Pressure;
}

# How long something had to wait (Linux, Documentation/accounting/psi.rst).
struct Pressure {
  somePercent @0 :Float32;         # of the last ten seconds: at least one task waited
  fullPercent @1 :Float32;         # all of them did
  someMicroseconds @2 :UInt64;
  fullMicroseconds @3 :UInt64;
}

struct ProcessEntry {
  pid @0 :UInt32;                  # as seen in the zone
  parent @1 :UInt32;
  name @2 :Text;                   # as the process calls itself
  user @3 :UInt32;
  cpuNanoseconds @4 :UInt64;
  memoryBytes @5 :UInt64;          # resident
  workload @6 :Text;               # empty: the zone's own
}
