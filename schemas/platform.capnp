# SPDX-License-Identifier: Apache-2.0
#
# The public edge: what people and programs on the host hold. From `Session` authority only
# narrows: a `Zone` is one zone, its `Process` one process. zoned serves it on platform.sock.

@0xf7b1c8d2e6a34808;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");
using Common = import "common.capnp";
using Hypervisor = import "hypervisor.capnp";
using Image = import "image.capnp";
using Agent = import "agent.capnp";
using Container = import "container.capnp";

# The bootstrap. The kernel tells zoned which user connected; that alone decides what `session`
# gives.
interface Platform {
  version @0 () -> (version :Text);

  session @1 () -> (session :Session);
  # The caller's own session. Errors: `denied` when the access policy gives this user nothing.

  restore @2 (token :Data) -> (capability :Capability);
  # A capability that was saved as a token, by whom it was made for.
}

interface Session {
  hostStatus @0 () -> (status :Hypervisor.HostStatus);

  pullImage @1 (reference :Text, options :Image.PullOptions, progress :Common.ProgressSink)
      -> (info :Image.ImageInfo) $Cxx.allowCancellation;
  listImages @2 () -> (images :List(Image.ImageInfo));
  removeImage @3 (reference :Text) -> ();
  # As `ImageKeeper.remove`, for administrators.

  createZone @4 (spec :ZoneSpec, progress :Common.ProgressSink) -> (zone :Zone);
  # Journals the zone and starts making it; returns at once. `Zone.whenReady` tells how it went.
  # Errors at once: `invalid` (the field is named), `alreadyExists` (the name), `exhausted`.

  listZones @5 () -> (zones :List(ZoneInfo));
  # The caller's zones; all of them for the host's administrator.

  findZone @6 (nameOrId :Text) -> (zone :Zone);
  # By name, by UUID, or by the start of a UUID that fits only one. Errors: `notFound`.

  watch @7 (resumeAfter :UInt64, sink :EventSink) -> (handle :Common.Handle);
  # Events of the caller's zones from a resume point on.

  importImage @8 (layout :Common.Directory, reference :Text, progress :Common.ProgressSink)
      -> (info :Image.ImageInfo);
  # For administrators: the name is everybody's from then on.

  attenuate @9 (limits :Data) -> (session :Session);
  save @10 () -> (token :Data);

  findImage @11 (reference :Text) -> (image :Image.Image);
  # An image that is on this host, to be looked at, verified or copied elsewhere. Errors:
  # `notFound`.

  imageKeeper @12 () -> (keeper :Image.ImageKeeper);
  # What changes the images of everybody on this host. Errors: `denied` for whoever is not the
  # host's administrator.
}

interface EventSink {
  event @0 (sequence :UInt64, zone :ZoneInfo) -> stream;
}

struct ZoneSpec {
  name @0 :Text;                 # empty: one is made up; [a-z0-9] then [a-z0-9-], 63 at most
  image @1 :Text;
  pullPolicy @2 :Image.PullPolicy;
  kernelImage @3 :Text;          # empty: the configured one
  systemImage @4 :Text;          # empty: the configured one
  memoryMiB @5 :UInt32;          # 0: the default of 256
  vcpus @6 :UInt16;              # 0: 1
  virtualization @7 :Hypervisor.Virtualization;
  network @8 :NetworkMode;
  hostname @9 :Text;             # empty: the name
  process @10 :Container.ProcessSpec;      # arguments empty: the image's; environment is added
  entrypoint @11 :List(Text);    # replaces the image's where not empty
  removal @12 :Removal;
  labels @13 :List(Common.KeyValue);
  kernelOptions @14 :Text;       # appended to the kernel's command line
  readOnlyRoot @15 :Bool;
  deferStart @16 :Bool;          # true: `Zone.start` begins the workload, so that a client can
                                 # hand over its own pipes first
  extensionImages @17 :List(Text);   # behind the system image, 16 at most; empty: the configured
  container @18 :Container.ContainerSettings;
  stopSignal @19 :Text;          # as in ContainerConfig; empty: the image's
  enum NetworkMode {
    default @0;
    none @1;
  }
  enum Removal {
    manual @0;       # keep the record after the end, until `destroy`
    whenExited @1;   # destroy when the workload has ended; with `deferStart` also when the client
                     # that made the zone drops it or disappears: a `run` goes with its terminal
  }
}

struct ZoneInfo {
  id @0 :Data;                   # UUID, 16 bytes
  name @1 :Text;
  state @2 :State;
  owner @3 :UInt32;              # uid
  image @4 :Text;
  createdUnixNanoseconds @5 :UInt64;
  readyUnixNanoseconds @6 :UInt64;     # 0: not yet
  exit @7 :Common.ExitStatus;          # valid in state `exited`
  error @8 :Text;                      # for state `failed`
  domid @9 :UInt32;
  virtualization @10 :Hypervisor.Virtualization;
  memoryMiB @11 :UInt32;
  vcpus @12 :UInt16;
  addresses @13 :List(Common.IpAddress);
  kernelVersion @14 :Text;
  phases @15 :List(Common.PhaseTime);  # how long each step of the launch took, in order
  errorCode @16 :Common.FailureCode;
  labels @17 :List(Common.KeyValue);
  imageDigests @18 :List(Text);  # manifests of its root, kernel, system and extension images

  enum State {
    creating @0;
    ready @1;         # booted, agent answers; the workload may not have been started
    running @2;       # the workload runs
    exited @3;        # the workload has ended
    failed @4;
    destroying @5;
    destroyed @6;
  }
}

# Descriptors of the client's own; null ones are not connected.
struct StdioFiles {
  stdin @0 :Common.File;
  stdout @1 :Common.File;
  stderr @2 :Common.File;
}

# One zone. Dropping it changes nothing: the zone lives until it is destroyed.
interface Zone {
  info @0 () -> (info :ZoneInfo);

  whenReady @1 () -> (info :ZoneInfo) $Cxx.allowCancellation;
  # Returns when the zone's agent answers. Fails with the launch's typed failure.

  start @2 (stdio :StdioFiles) -> (process :Agent.Process);
  # Starts the workload with the client's descriptors: bytes go straight between them and the
  # zone's link. For zones made with `deferStart`; `busy` otherwise.

  wait @3 () -> (info :ZoneInfo) $Cxx.allowCancellation;
  # Returns when the workload has ended or the zone has failed or been destroyed.

  exec @4 (spec :Container.ProcessSpec, stdio :StdioFiles) -> (process :Agent.Process);
  # A further process in the container: environment, directory and user of the first one where they
  # are left out. What it may do and use is what the first one may, whatever the spec says of it.

  logs @5 (options :Agent.LogOptions, stdio :StdioFiles) -> () $Cxx.allowCancellation;

  destroy @6 () -> ();
  # Ends the zone and leaves nothing of it. Idempotent.

  stop @7 (graceMilliseconds :UInt32) -> (info :ZoneInfo);
  pause @8 () -> ();
  unpause @9 () -> ();
  console @10 (mode :Hypervisor.ConsoleMode, output :Common.File) -> () $Cxx.allowCancellation;
  # The zone's kernel messages, control characters removed. `output` is a pipe or a socket, since a
  # terminal or a file could hold zoned up.

  resize @11 (memoryMiB :UInt32, vcpus :UInt16) -> (info :ZoneInfo);
  metrics @12 () -> (metrics :Agent.Metrics);
  processes @13 () -> (processes :List(Agent.ProcessEntry), omitted :UInt32);
  # Both as `ZoneAgent` has them. Errors: `guestSilent` where the zone does not answer, since it is
  # paused or busy beyond measure.

  putFiles @14 (directory :Text, archive :Common.File) -> () $Cxx.allowCancellation;
  getFiles @15 (path :Text, archive :Common.File) -> () $Cxx.allowCancellation;
  # As `Workload` has them, for a container that runs; the archive is read from, or written to, the
  # caller's own descriptor.
}
