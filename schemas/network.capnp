# SPDX-License-Identifier: Apache-2.0
#
# netd: addresses and links. The controller plans and never sees a packet; the agent configures the
# kernel that carries them and knows only links.

@0xa27e90c46db14505;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");
using Common = import "common.capnp";

# The bootstrap of netd.sock: the right to put zones on the network. Only zoned holds it.
interface Network {
  attach @0 (zone :Data, request :AttachRequest) -> (attachment :Attachment, plan :InterfacePlan);
  # Reserves addresses and a vif index for a zone (its UUID). Durable when it returns. Errors:
  # `exhausted` (no address left), `alreadyExists` (a wanted address is taken).

  find @1 (zone :Data) -> (attachments :List(AttachmentEntry));
  # What a zone holds, after a restart.

  retain @2 (zones :List(Data)) -> (released :UInt32);
  # Releases what belongs to zones that are not in the list: reconciliation by the one that knows.

  status @3 () -> (status :NetworkStatus);

  reserve @4 (name :Text, request :AttachRequest) -> (reservation :Reservation);
  # Addresses whose life is independent of any zone.

  publish @5 (zone :Data, port :PortRule) -> (handle :Common.Handle);
  setPolicy @6 (policy :Data) -> ();
}

struct AttachRequest {
  wantedAddress @0 :Common.IpAddress;  # empty: any
  wantedMac @1 :Common.MacAddress;     # empty: a random locally administered one
  mtu @2 :UInt32;
}

struct AttachmentEntry {
  attachment @0 :Attachment;
  plan @1 :InterfacePlan;
}

# One interface of one zone. Dropping it changes nothing; `release` gives everything back.
interface Attachment {
  plan @0 () -> (plan :InterfacePlan);

  connect @1 (domid :UInt32) -> ();
  # The vif nodes exist for that domain: returns when the back end's link is configured, filters
  # first. Only after that may hvd let frames flow. Errors: `timeout` (no link appeared),
  # `unreachable` (the agent is down; try again).

  release @2 () -> ();
  # Idempotent. Filters, routes and the address go.

  statistics @3 () -> (statistics :LinkStatistics);
}

interface Reservation {
  release @0 () -> ();
}

struct PortRule {
  protocol @0 :Text;
  hostPort @1 :UInt16;
  zonePort @2 :UInt16;
}

# What a zone needs to know of its interface, and what hvd needs to write its nodes.
struct InterfacePlan {
  index @0 :UInt32;                 # of the vif; never used twice in a zone's life
  mac @1 :Common.MacAddress;
  addresses @2 :List(Common.IpAddress);   # /32 and /128
  gateways @3 :List(Common.IpAddress);    # 169.254.1.1, fe80::1
  mtu @4 :UInt32;
  nameservers @5 :List(Common.IpAddress);
  backendDomain @6 :UInt32;
}

struct NetworkStatus {
  ranges @0 :List(Common.IpAddress);
  used @1 :UInt64;
  available @2 :UInt64;
  agentConnected @3 :Bool;
}

struct LinkStatistics {
  receivedBytes @0 :UInt64;      # from the zone
  transmittedBytes @1 :UInt64;   # to the zone
  receivedPackets @2 :UInt64;
  transmittedPackets @3 :UInt64;
  droppedSpoofed @4 :UInt64;
}

# The bootstrap of netagent.sock, or of the driver zone's ring: one kernel's links. Held by the
# controller only.
interface LinkAgent {
  synchronize @0 (links :List(LinkPlan)) -> ();
  # The whole truth: links that are not in the list lose their configuration, missing ones get it.

  configure @1 (link :LinkPlan) -> ();
  # Returns when the link exists and is configured, filters first; waits for it to appear.
  # Idempotent. Errors: `timeout`.

  remove @2 (domid :UInt32, index :UInt32) -> ();
  # Idempotent.

  statistics @3 (domid :UInt32, index :UInt32) -> (statistics :LinkStatistics);
}

struct LinkPlan {
  domid @0 :UInt32;
  index @1 :UInt32;
  mac @2 :Common.MacAddress;                 # the zone's
  addresses @3 :List(Common.IpAddress);
  mtu @4 :UInt32;
}
