# SPDX-License-Identifier: Apache-2.0
#
# What hvd remembers of a domain across its own death: one file a domain, JSON, named by UUID. It is
# written before the act it speaks of.

@0xa6f1c2d97e3b4815;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::hvd::journal");

struct Record {
  uuid @0 :Text;
  name @1 :Text;
  state @2 :State;
  domid @3 :UInt32;          # valid from `alive` on
  pvh @4 :Bool;
  memoryMiB @5 :UInt32;
  maxMemoryMiB @6 :UInt32;
  vcpus @7 :UInt32;
  maxVcpus @8 :UInt32;
  consoleFrame @9 :UInt64;
  consolePort @10 :UInt32;
  vifs @11 :List(Vif);
  disks @12 :List(Disk);

  enum State {
    creating @0;   # may or may not exist; is destroyed at the next start
    alive @1;      # exists and is to go on
    ending @2;     # is being destroyed; the next start goes on with that
  }
}

struct Vif {
  index @0 :UInt32;
  mac @1 :Text;
  backendDomain @2 :UInt32;
}

struct Disk {
  name @0 :Text;
  device @1 :UInt32;   # xenbus number
  loop @2 :Int32;      # number of the loop device, -1 for a block device
}
