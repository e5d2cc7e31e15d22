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
  # `invalid`, `notFound`, `unreachable`, `unauthenticated`, `digestMismatch`, `wrongPlatform`,
  # `unsupported`, `exhausted`, `timeout`.

  find @1 (reference :Text) -> (image :Image);
  # An image that is already here. Errors: `notFound`.

  list @2 () -> (images :List(ImageInfo));

  remove @3 (reference :Text) -> ();
  # Forgets the reference; bytes go when no other reference and no `Image` needs them.

  importLayout @4 (layout :Common.Directory, reference :Text, progress :Common.ProgressSink)
      -> (image :Image);
  # From an OCI layout directory that the caller serves: imaged itself can open nothing there.

  bootFiles @5 (kernel :Image, system :Image) -> (files :BootFiles);
  # What a domain is built from: the canonical kernel, the initial file system (the kernel image's
  # boot modules, then the system image) and the module disk. Errors: `invalid` where an image is
  # not of that type.

  prune @6 () -> (freedBytes :UInt64);
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

# One image. Holding it leases its bytes; dropping it ends the lease.
interface Image {
  info @0 () -> (info :ImageInfo);

  config @1 () -> (config :ContainerConfig);
  # Errors: `invalid` for an image that is not a container.

  rootFileSystem @2 () -> (file :Common.File, format :Format);
  # Read-only descriptor of the packed root; its size is a multiple of 4096.

  document @3 (kind :DocumentKind) -> (bytes :Data);
  # Manifest or configuration, bit-exact.

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
