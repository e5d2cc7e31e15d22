# SPDX-License-Identifier: Apache-2.0
#
# How a container is set up, and what its processes may do: the settings people know from other
# container tools, with the same defaults. The zone's agent checks and applies them; zoned and
# everybody else pass them on.

@0xa4c19e5d07b2630b;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");
using Common = import "common.capnp";

# One process. Whatever is left out has the value that the big runtimes give it.
struct ProcessSpec {
  arguments @0 :List(Text);            # argv; 4096 at most, 1 MiB in all
  environment @1 :List(Text);          # KEY=value
  workingDirectory @2 :Text;           # empty: /
  user @3 :Text;                       # as in ContainerConfig; empty: 0:0
  terminal @4 :TerminalSize;           # rows 0: no terminal
  capabilities @5 :Capabilities;
  additionalGroups @6 :List(Text);     # names or numbers, 64 at most; besides those of the user
  privileges @7 :Privileges;
  limits @8 :List(ResourceLimit);      # 16 at most, one of a kind
  oomScoreAdjust @9 :Int16;            # -1000 to 1000, proc_pid_oom_score_adj(5)
  timeoutMilliseconds @10 :UInt32;     # 0: none; then it is killed with all that it started
  appArmorProfile @11 :Text;           # empty: none. `unsupported` where the kernel has no AppArmor
  umask :union {
    usual @12 :Void;                   # 022
    bits @13 :UInt16;                  # up to 0777
  }

  enum Privileges {
    neverGained @0;    # no_new_privs: a set-user-ID program gains nothing
    gainable @1;
  }
}

struct TerminalSize {
  rows @0 :UInt16;
  columns @1 :UInt16;
}

# Names without the CAP_ prefix; "ALL" is every one. SYS_PTRACE with the zone's users reaches into
# whatever is started in the container while it is set up, which is the agent's own program then.
struct Capabilities {
  add @0 :List(Text);          # to the default set of the big runtimes
  drop @1 :List(Text);         # from it, before anything is added
  ambient @2 :List(Text);      # kept by a user that is not root, capabilities(7); added as well
}

# getrlimit(2). Without an entry: RLIMIT_NOFILE 1048576, RLIMIT_CORE 0, the rest as the zone has it.
struct ResourceLimit {
  name @0 :Text;               # "nofile", "RLIMIT_NOFILE"
  soft @1 :UInt64;             # the largest number: no limit
  hard @2 :UInt64;
}

# What all processes of a container have in common.
struct ContainerSettings {
  mounts @0 :List(Mount);              # 64 at most, made in this order, over the standard ones
  namespaces @1 :List(NamespaceChoice);        # those that are not as usual
  userMappings @2 :List(IdMapping);    # of its own user namespace, 16 at most each
  groupMappings @3 :List(IdMapping);
  confinement @4 :Confinement;
  maskedPaths @5 :List(Text);          # absolute, 256 at most each; those the kernel has not are
  readOnlyPaths @6 :List(Text);        # passed over
  pathDefaults @7 :PathDefaults;
  systemCalls :union {
    standard @8 :Void;                 # the default profile of the big runtimes
    unconfined @9 :Void;
    profile @10 :Data;                 # JSON as in the OCI runtime specification, "linux.seccomp";
                                       # 256 KiB at most
  }
  devices @11 :List(Device);           # 64 at most, besides /dev/null and its kind
  sysctls @12 :List(Common.KeyValue);  # 64 at most: those of the container's own namespaces
  cgroup @13 :List(Common.KeyValue);   # cgroup v2 files and what to write: cpu.max, io.weight
  rootPropagation @14 :Propagation;
  sharedMemoryBytes @15 :UInt64;       # of /dev/shm; 0: 64 MiB
  domainName @16 :Text;                # setdomainname(2)

  enum Confinement {
    confined @0;
    privileged @1;     # every capability and device, no masked path, no system call filter: the
                       # zone around it is the border
  }
  enum PathDefaults {
    kept @0;           # the lists above come on top of what is masked and read-only anyway
    dropped @1;
  }
}

struct Mount {
  destination @0 :Text;        # absolute, in the container; made where it is missing
  union {
    memory :group {            # a tmpfs of its own
      bytes @1 :UInt64;        # 0: half of the zone's memory
      mode @2 :UInt16;         # 0: 01777
    }
    zonePath @3 :Text;         # a file or directory of the zone's own tree
    disk @4 :Text;             # a block device of the zone, as the kernel names it; its type is found
    kernel @5 :Text;           # "proc", "sysfs", "cgroup2", "mqueue", "devpts"
  }
  writing @6 :Writing;
  depth @7 :Depth;             # for zonePath
  propagation @8 :Propagation;
  noExecution @9 :Bool;
  noDevices @10 :Bool;
  noSetUserId @11 :Bool;

  enum Writing {
    allowed @0;
    denied @1;                 # of this mount
    deniedBelow @2;            # and of every mount under it
  }
  enum Depth {
    alone @0;
    withMountsBelow @1;
  }
}

# mount_namespaces(7)
enum Propagation {
  private @0;
  slave @1;
  shared @2;
  unbindable @3;
}

# Without a choice: its own process, mount, IPC, host name and cgroup namespace, the zone's network,
# users and clocks. A mount namespace is always its own.
struct NamespaceChoice {
  kind @0 :Kind;
  union {
    own @1 :Void;
    zone @2 :Void;
    workload @3 :Text;         # that of another running workload, by its id
  }
  enum Kind {
    process @0;
    network @1;
    ipc @2;
    hostName @3;
    cgroup @4;
    user @5;
    time @6;
  }
}

# user_namespaces(7). The root file system's owners are mapped the same way.
struct IdMapping {
  inside @0 :UInt32;
  outside @1 :UInt32;
  count @2 :UInt32;
}

struct Device {
  path @0 :Text;               # in the container, below /dev
  type @1 :Type;
  major @2 :UInt32;
  minor @3 :UInt32;
  access @4 :Text;             # of "rwm"; empty: "rwm". Any node may be made; opening is what counts
  mode @5 :UInt16;             # 0: 0666
  user @6 :UInt32;
  group @7 :UInt32;
  enum Type {
    character @0;
    block @1;
  }
}
