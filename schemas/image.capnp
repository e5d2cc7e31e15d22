# SPDX-License-Identifier: Apache-2.0
#
# imaged: images, verified and packed. Whoever holds `ImageStore` may pull, list and remove;
# whoever holds one `Image` may read that one image and keeps it from being collected.

@0x9b7d2ce8f05a4303;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");
using Common = import "common.capnp";

# The bootstrap of imaged.sock.
interface ImageStore {
  pull @0 (reference :Text, options :PullOptions, progress :Common.ProgressSink) -> (image :Image)
      $Cxx.allowCancellation;
  # Makes the image available locally. Pulls of the same thing are joined; dropping the last call
  # cancels. Nothing is visible before every byte is verified. `reference` is a registry reference
  # or `oci:/DIRECTORY[:TAG]` for one of the directories imaged is configured to read. Errors:
  # `invalid`, `notFound`, `unreachable`, `unauthenticated`, `denied` by the registry, the signature
  # policy or the configured directories, `digestMismatch`, `wrongPlatform`, `unsupported`,
  # `exhausted`, `timeout`.

  find @1 (reference :Text) -> (image :Image);
  # An image that is already here. Errors: `notFound`.

  list @2 () -> (images :List(ImageInfo));

  remove @3 (reference :Text) -> ();
  # Forgets the reference; bytes go when no other reference and no `Image` needs them.

  importLayout @4 (layout :Common.Directory, reference :Text, progress :Common.ProgressSink)
      -> (image :Image);
  # From an OCI layout directory that the caller serves: imaged itself can open nothing there.

  bootFiles @5 (kernel :Image, system :Image, extensions :List(Image)) -> (files :BootFiles);
  # What a domain is built from: the canonical kernel, the initial file system (the kernel image's
  # boot modules, then the system image, then the extensions in their order, of which a later one
  # replaces files of an earlier one) and the module disk. Errors: `invalid` where an image is not
  # of that type, `exhausted` for more than 16 extensions.

  prune @6 () -> (freedBytes :UInt64);
  # Removes what no reference names and no `Image` holds.

  lease @7 (manifestDigest :Text) -> (image :Image);
  # An image by its digest alone, whether or not a reference still names it: for whoever held it
  # before and lost the connection. Errors: `notFound`.

  keeper @8 () -> (keeper :ImageKeeper);
  # The authority over what others see, as a capability of its own.
}

# Changes what everybody on this host sees: for its administrators.
interface ImageKeeper {
  remove @0 (reference :Text) -> ();
  # As `ImageStore.remove`.

  prune @1 (reach :PruneReach) -> (freedBytes :UInt64, removed :List(Text));
  # `removed`: the references that went.

  usage @2 () -> (usage :StoreUsage);

  importArchive @3 (reference :Text, progress :Common.ProgressSink)
      -> (input :Common.File, work :ImageImport);
  # An image from a tar archive: an OCI layout, or what `docker save` and `skopeo copy
  # docker-archive:` write. The caller writes the archive into `input`, a pipe of imaged's own, and
  # closes it: no descriptor of the caller's reaches imaged, and no byte is parsed outside a worker.
}

# An import under way; dropping it cancels.
interface ImageImport {
  finish @0 () -> (image :Image) $Cxx.allowCancellation;
  # Once the archive is read to its end. Errors as `ImageStore.pull`.
}

enum PruneReach {
  unnamed @0;     # images that no reference names
  unused @1;      # also those that nobody holds, references included
}

# What the store costs. A layer that several images have counts once.
struct StoreUsage {
  quotaBytes @0 :UInt64;        # 0: none
  usedBytes @1 :UInt64;         # layers and packed images
  layerBytes @2 :UInt64;
  packedBytes @3 :UInt64;
  reclaimableBytes @4 :UInt64;  # what pruning everything unused would free
  images @5 :UInt32;
  layers @6 :UInt32;
}

enum PullPolicy {
  ifAbsent @0;    # use what is here
  always @1;      # ask the registry whether the tag moved
  never @2;
}

struct PullOptions {
  policy @0 :PullPolicy;
  platform @1 :ImagePlatform;      # empty fields: this machine's
  credentials @2 :Credentials;
}

struct ImagePlatform {
  os @0 :Text;
  architecture @1 :Text;
  variant @2 :Text;
}

struct Credentials {
  union {
    none @0 :Void;
    password :group {
      user @1 :Text;
      password @2 :Text;
    }
    registryToken @3 :Text;
    identityToken @4 :Text;
  }
}

enum ImageType {
  container @0;
  kernel @1;      # /kernel/image, metadata, addons.squashfs, config.gz
  system @2;      # an initial file system: /init and the zone's agent
  disk @3;        # one virtual machine's disk: a single layer with a single file below /disk
  extension @4;   # files that are added to the initial file system of a system image
}

struct ImageInfo {
  reference @0 :Text;         # canonical: registry/repository:tag@digest as known
  manifestDigest @1 :Text;    # of the platform's manifest
  type @2 :ImageType;
  platform @3 :ImagePlatform;
  createdUnixSeconds @4 :Int64;     # as the image says; 0 where it does not
  pulledUnixSeconds @5 :Int64;
  compressedBytes @6 :UInt64;
  packedBytes @7 :UInt64;
  layers @8 :UInt32;
  storedBytes @9 :UInt64;     # on this disk: packed image and layers
  sharedBytes @10 :UInt64;    # of these, in layers that other images have as well
  lastUsedUnixSeconds @11 :Int64;
  holders @12 :UInt32;        # how many `Image`s are held of it
}

# What is known of an image beyond `ImageInfo`.
struct ImageDetails {
  configDigest @0 :Text;
  layers @1 :List(Layer);
  entries @2 :UInt64;         # files of the packed image
  kernelVersion @3 :Text;     # of a kernel image
  diskFormat @4 :Image.DiskFormat;  # of a disk image
  signature @5 :ImageSignature;
  packed @6 :List(PackedFile);
  packedUnixSeconds @7 :Int64;

  struct Layer {
    digest @0 :Text;
    size @1 :UInt64;          # compressed
    diffId @2 :Text;
    compression @3 :Text;     # "none", "gzip", "zstd"
    stored @4 :Bool;          # the compressed bytes are in the store
  }
}

# One file of a packed image.
struct PackedFile {
  name @0 :Text;              # "root.squashfs"
  size @1 :UInt64;
  digest @2 :Text;            # empty: the hash tree beside it proves every block
}

# What the signature policy said when the image came.
struct ImageSignature {
  kind @0 :Kind;
  keyFingerprint @1 :Text;    # SHA-256 of the public key, as a digest
  signedDigest @2 :Text;      # of the manifest, or of the index that leads to it
  identity @3 :Text;          # the repository the signature names
  enum Kind {
    unchecked @0;             # the policy asked for nothing, or the image is a local one
    verified @1;
  }
}

# What a look at every byte of an image found.
struct VerifyReport {
  checks @0 :List(Check);
  struct Check {
    subject @0 :Text;         # "manifest", "layer sha256:...", "root.squashfs"
    result @1 :Result;
    problem @2 :Text;         # for people; empty where all is well
  }
  enum Result {
    intact @0;
    damaged @1;
    missing @2;
    unknown @3;               # nothing was recorded to compare with
  }
}

# What an image says about the process to run. All of it is a stranger's text: it grants nothing.
struct ContainerConfig {
  entrypoint @0 :List(Text);
  command @1 :List(Text);
  environment @2 :List(Text);       # KEY=value
  workingDirectory @3 :Text;
  user @4 :Text;                    # "user", "uid", "user:group", "uid:gid"
  stopSignal @5 :Text;
  labels @6 :List(Common.KeyValue);
}

# One image. Holding it leases its bytes; dropping it ends the lease. An image that no reference
# names any more stays some minutes longer, so that a holder that restarts finds it: see
# `ImageStore.lease`.
interface Image {
  info @0 () -> (info :ImageInfo);

  config @1 () -> (config :ContainerConfig);
  # Errors: `invalid` for an image that is not a container.

  rootFileSystem @2 () -> (file :Common.File, format :Format);
  # Read-only descriptor of the packed root; its size is a multiple of 4096.

  document @3 (kind :DocumentKind) -> (bytes :Data);
  # Manifest or configuration, bit-exact.

  details @4 () -> (details :ImageDetails);

  verify @5 (progress :Common.ProgressSink) -> (report :VerifyReport) $Cxx.allowCancellation;
  # Reads and hashes everything the store has of this image. What is damaged counts as absent from
  # then on: the next pull brings it anew.

  layer @6 (number :UInt32) -> (file :Common.File);
  # Read-only descriptor of a layer's compressed bytes, counted from 0. With these and the
  # documents the image can be written elsewhere, bit for bit. Errors: `notFound` where the store
  # does not have them.

  blockImage @7 () -> (file :Common.File, format :DiskFormat);
  # Of a disk image: a read-only descriptor of the disk's bytes. Errors: `invalid` for another type.

  verityTree @8 () -> (tree :Common.File, rootHash :Data, salt :Data);
  # Of a container: a read-only descriptor of the root file system's dm-verity superblock and hash
  # tree, and the SHA-256 that vouches for both. Errors: `notFound` for an image that was packed
  # without one.

  enum DiskFormat {
    raw @0;
    qcow2 @1;
  }

  enum Format {
    squashfs @0;
    erofs @1 $Cxx.name("erofsImage");   # EROFS is a macro of errno.h
  }
  enum DocumentKind {
    manifest @0;
    config @1;
  }
}

struct BootFiles {
  kernel @0 :Common.File;       # canonical ELF
  initrd @1 :Common.File;       # uncompressed CPIO
  addons @2 :Common.File;       # squashfs of modules
  kernelVersion @3 :Text;
}
