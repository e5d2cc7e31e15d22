# SPDX-License-Identifier: Apache-2.0
#
# What every interface family shares: files, streams, handles, progress, and the codes of typed
# errors.
#
# Errors. A call that cannot do what it was asked fails with an exception that carries a typed
# failure: a code from `FailureCode`, the thing it concerns, what went wrong and what to do next
# (services/runtime/failure.h encodes and decodes it). A method of an interface that this build
# does not serve fails with Cap'n Proto's own `unimplemented`. A peer that died is `disconnected`:
# the caller reconnects and rebuilds its state from the truth.

@0xb6d3f1d1a8c64f01;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");

# Why something failed, in terms a caller can act on. The order is part of the interface.
enum FailureCode {
  internal @0;              # a defect or a fault of the machine; the journal has more
  invalid @1;               # the request itself is wrong; repeating it is useless
  notFound @2;              # the named thing does not exist
  alreadyExists @3;         # the name is taken
  denied @4;                # the caller's authority does not reach that far
  unauthenticated @5;       # a registry wants credentials that it did not get
  unreachable @6;           # a peer on the network does not answer
  timeout @7;               # a deadline passed
  exhausted @8;             # a limit, quota or address range is used up
  insufficientMemory @9;    # not enough memory on the host, or too little for the zone
  digestMismatch @10;       # bytes that are not the ones their digest promised
  wrongPlatform @11;        # no image for this architecture
  unsupported @12;          # a form that is known and not served
  noEntrypoint @13;         # neither the image nor the caller names a command
  commandNotFound @14;      # exit code 127 of shells
  commandNotExecutable @15; # exit code 126 of shells
  guestCrashed @16;         # the zone's kernel panicked or the domain crashed
  guestSilent @17;          # the zone runs but never offered its ring
  busy @18;                 # the thing is in a state that forbids this now
  cancelled @19;            # the caller, or what it belonged to, went away
  corrupt @20;              # a store or journal does not hold what it must
}

# A file descriptor as a capability: `Capability::Client::getFd()` yields it on both sides of a
# Unix socket. It is borrowed and valid while the capability lives. Dropping it closes the
# receiver's copy.
interface File {}

# Read-only access to the files below one directory, opened by whoever serves it: the receiver needs
# no path of its own and gets nothing but what it asks for. Dropping it changes nothing.
interface Directory {
  open @0 (path :Text) -> (file :File);
  # `path` is relative, "blobs/sha256/12ab", and never followed through a symbolic link. Errors:
  # `notFound`, `invalid` for a path that leads out or to something that is no plain file.
}

# Something that lasts while it is held. Dropping it ends what it stands for.
interface Handle {}

# Bytes in order. The receiver's flow control paces `write`.
interface ByteStream {
  write @0 (bytes :Data) -> stream;
  # At most 64 KiB a call, so that one stream never holds up another for long.

  end @1 () -> ();
  # The bytes are complete. Returns once the receiver has taken all of them; a failed earlier
  # `write` surfaces here at the latest. Dropping the stream without `end` means it was cut off.
}

# Receives progress of long work. A slow receiver sees fewer reports, never a backlog.
interface ProgressSink {
  report @0 (progress :Progress) -> stream;
}

struct Progress {
  phase @0 :Text;       # what is being done now: "resolve", "layer", "pack", ...
  subject @1 :Text;     # the thing it is done to: a reference, a digest
  done @2 :UInt64;      # units done; bytes unless the phase says otherwise
  total @3 :UInt64;     # units in all; 0 where unknown
}

struct KeyValue {
  key @0 :Text;
  value @1 :Text;
}

# How long one step took.
struct PhaseTime {
  name @0 :Text;
  nanoseconds @1 :UInt64;   # of the monotonic clock
}

# How a process or a workload ended.
struct ExitStatus {
  union {
    code @0 :Int32;       # exit code, 0 to 255
    signal @1 :Int32;     # killed by this signal
  }
  outOfMemory @2 :Bool;   # the zone's kernel killed it for want of memory
  reason @3 :Text;        # for people; empty where code or signal say all
}

# A MAC address, an IP address: text in the canonical forms of RFC 7042 and RFC 5952, with a prefix
# length behind a slash where one is meant.
using MacAddress = Text;
using IpAddress = Text;
