# SPDX-License-Identifier: Apache-2.0
#
# idmd: messages between dom0 and zones, and between zones. It never parses what a zone sends: a
# link process a zone does, and a zone that subverts its link has reached only itself.

@0xc93f7a1e05b24606;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");
using Common = import "common.capnp";
using Hypervisor = import "hypervisor.capnp";
using Agent = import "agent.capnp";

# The bootstrap of idmd.sock: the right to join rings. Only zoned holds it.
interface Router {
  attach @0 (zone :Data, offer :Hypervisor.RingOffer) -> (link :Link);
  # Maps the ring that this zone (its UUID) offers and starts its link process. An earlier link of
  # the same zone is closed first. Errors: `invalid` (the offer cannot be mapped), `unreachable`
  # (no link process could be had).

  offerService @1 (zone :Data, name :Text, service :Capability) -> (handle :Common.Handle);
  snoop @2 (zone :Data, sink :SnoopSink) -> (handle :Common.Handle);
}

# One zone's ring. Dropping it closes the ring and ends the link process: always before the domain
# is destroyed, since a mapped ring keeps a dead domain's memory.
interface Link {
  agent @0 () -> (agent :Agent.ZoneAgent);
  # The zone's agent. Everything behind it is under the zone's control.

  whenClosed @1 () -> () $Cxx.allowCancellation;
  # Returns when the ring is closed, by either side.

  writer @2 (file :Common.File) -> (stream :Common.ByteStream);
  # A stream whose bytes the link process writes to a descriptor: the client's own pipe, so that
  # bulk data passes through no other process.

  pump @3 (file :Common.File, into :Common.ByteStream) -> () $Cxx.allowCancellation;
  # Reads a descriptor to its end into a stream, then ends the stream. Returns at the end; a call
  # that is dropped stops reading.
}

# The bootstrap of link.sock: one process a zone.
interface LinkWorker {
  open @0 (grants :Common.File, mappingOffset :UInt64, mappingPages :UInt32,
           events :Common.File, eventPort :UInt32) -> (link :Link);
  # `grants`: a gntdev descriptor with the mapping already made; `events`: an event-channel
  # descriptor restricted to that domain, `eventPort` already bound on it. Once only.
}

interface SnoopSink {
  record @0 (source :Data, target :Data, bytes :UInt64, skipped :UInt64) -> stream;
}
