# SPDX-License-Identifier: Apache-2.0
#
# hvd: domains on the Xen hypervisor. Whoever holds `Hypervisor` can create domains and reach all
# of Bulkhead's; whoever holds one `Domain` reaches that one only. Only zoned is given either.

@0xd0a5b8e3c7f14202;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");
using Common = import "common.capnp";

# The bootstrap of hvd.sock.
interface Hypervisor {
  status @0 () -> (status :HostStatus);
  # What the host is and what it has left. Grants nothing.

  createDomain @1 (spec :DomainSpec) -> (domain :Domain, phases :List(Common.PhaseTime))
      $Cxx.allowCancellation;
  # Builds a domain, attaches its devices and leaves it paused. Journaled before the first act: if
  # hvd dies on the way, its next start clears what was begun. A call whose caller went away is
  # undone. Errors: `invalid` (spec or kernel not in the canonical form), `alreadyExists` (a domain
  # with that UUID), `insufficientMemory`, `exhausted` (loop devices, domain ids), `unsupported`
  # (PVH wanted where the hardware cannot).

  domains @2 () -> (domains :List(DomainEntry));
  # All domains of Bulkhead that exist, adopted ones included: the truth after a restart.

  hypervisorConsole @3 (sink :Common.ByteStream, mode :ConsoleMode) -> (handle :Common.Handle);
  # The hypervisor's own message ring. Dropping `handle` ends the stream.

  topology @4 () -> (cpus :List(Cpu));
  # One entry a logical CPU.

  setPowerPolicy @5 (policy :PowerPolicy) -> ();
  # Scheduler and SMT policy of the machine.
}

struct HostStatus {
  xenVersion @0 :Text;          # "4.20.4"
  xenCaps @1 :Text;             # space-separated, as the hypervisor reports
  totalMemory @2 :UInt64;       # bytes
  freeMemory @3 :UInt64;        # bytes that a new domain could claim
  cpus @4 :UInt32;              # logical CPUs online
  pvh @5 :Bool;                 # hardware-assisted guests possible
  pv @6 :Bool;                  # paravirtual guests possible
  domains @7 :UInt32;           # domains of Bulkhead
  controlDegraded @8 :Bool;     # xenstored does not answer: running zones run, no new work
  hostId @9 :Text;              # UUID of this installation
}

struct Cpu {
  id @0 :UInt32;
  core @1 :UInt32;
  socket @2 :UInt32;
  node @3 :UInt32;
}

struct PowerPolicy {
  scheduler @0 :Text;
  smt @1 :Bool;
}

enum ConsoleMode {
  history @0;   # what is kept, then end
  follow @1;    # what is kept, then everything that follows
}

enum Virtualization {
  automatic @0;   # PVH where the hardware can, else PV
  pv @1;
  pvh @2;
}

struct DomainSpec {
  uuid @0 :Data;                 # 16 bytes, RFC 9562 version 4; names the domain for ever
  name @1 :Text;                 # [a-z0-9] then [a-z0-9-], 63 at most; for people
  kernel @2 :Common.File;        # canonical ELF (hvd/elf-verifier.h), sealed or read-only
  initrd @3 :Common.File;        # copied as it is
  commandLine @4 :Text;          # printable ASCII, 1023 bytes at most
  memoryMiB @5 :UInt32;          # what it gets now
  maxMemoryMiB @6 :UInt32;       # what it may grow to; 0: the same
  vcpus @7 :UInt16;              # 1 to 64
  maxVcpus @8 :UInt16;           # 0: the same
  virtualization @9 :Virtualization;
  disks @10 :List(DiskSpec);     # 16 at most
  interfaces @11 :List(VifSpec); # 8 at most
  pciDevices @12 :List(Text);    # by configured name
}

struct DiskSpec {
  name @0 :Text;          # xvda to xvdp
  image @1 :Common.File;  # regular file, a multiple of 4096 bytes; or a block device
  access @2 :Access;
  enum Access {
    readOnly @0;
    readWrite @1;
  }
}

struct VifSpec {
  index @0 :UInt32;               # never used twice in a zone's life
  mac @1 :Common.MacAddress;
  backendDomain @2 :UInt32;       # the domain that runs netback; 0 is dom0
  mtu @3 :UInt32;                 # 0: the default of 1500
}

struct DomainEntry {
  info @0 :DomainInfo;
  domain @1 :Domain;
}

struct DomainInfo {
  uuid @0 :Data;
  name @1 :Text;
  domid @2 :UInt32;
  state @3 :State;
  virtualization @4 :Virtualization;   # never `automatic`
  memoryKiB @5 :UInt64;                # owned right now
  maxMemoryKiB @6 :UInt64;
  vcpus @7 :UInt32;
  cpuNanoseconds @8 :UInt64;
  shutdownReason @9 :Text;             # empty while it runs

  enum State {
    paused @0;
    running @1;
    shutdown @2;
    dying @3;     # destroyed, memory not yet all returned
    gone @4;
  }
}

# One domain. Dropping it changes nothing: the domain lives until `destroy`.
interface Domain {
  info @0 () -> (info :DomainInfo);

  unpause @1 () -> ();
  # Lets the vCPUs run. Idempotent.

  pause @2 () -> ();

  shutdown @3 () -> ();
  # Asks the guest to power off; the guest may ignore it. `whenEnded` tells.

  destroy @4 () -> ();
  # Ends the domain and removes all of it: memory, nodes, vifs, loop devices. Returns when nothing
  # is left, or with `busy` when something in dom0 still maps its memory (it then goes by itself as
  # soon as that ends). Idempotent: a domain that is gone is a success.

  whenEnded @5 () -> (end :DomainEnd) $Cxx.allowCancellation;
  # Returns when the domain has shut down, crashed or been destroyed. Any number may wait.

  whenRingOffered @6 (after :UInt64) -> (offer :RingOffer) $Cxx.allowCancellation;
  # Returns when the guest offers a messaging ring whose epoch is greater than `after`. Values the
  # guest wrote are checked for form only: whoever maps the ring treats them as hostile.

  connectVif @7 (index :UInt32) -> ();
  # Says that the back end's link is configured: frames may flow. Until then none do.

  attachVif @8 (spec :VifSpec) -> ();
  detachVif @9 (index :UInt32) -> ();
  attachDisk @10 (spec :DiskSpec) -> ();
  detachDisk @11 (name :Text) -> ();

  console @12 (sink :Common.ByteStream, mode :ConsoleMode) -> (handle :Common.Handle);
  # The guest's console: kernel messages, never data. Bounded history. Bytes are as the guest
  # wrote them: show them on a terminal only through a sanitiser.

  consoleTail @13 (bytes :UInt32) -> (text :Text);
  # The last of the history, control characters removed, 4096 bytes at most: for error messages.

  resize @14 (memoryMiB :UInt32, vcpus :UInt16) -> (memoryMiB :UInt32, vcpus :UInt16);
  # Live resize; answers with what the guest reached.
}

struct DomainEnd {
  reason @0 :Reason;
  enum Reason {
    poweroff @0;
    reboot @1;
    crash @2;
    watchdog @3;
    destroyed @4;   # by us, or by somebody else with authority over the hypervisor
  }
  consoleTail @1 :Text;   # for a crash: the last lines, sanitised
}

# Where a guest's ring is. Plain numbers, because only a process that holds the grant and event
# devices can do anything with them.
struct RingOffer {
  domid @0 :UInt32;
  gref @1 :UInt32;          # grant reference of the ring's control page
  eventPort @2 :UInt32;     # unbound port of the guest
  epoch @3 :UInt64;         # counts the offers hvd saw of this domain, from 1
}
