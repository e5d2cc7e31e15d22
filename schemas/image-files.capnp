# SPDX-License-Identifier: Apache-2.0
#
# Single files on behalf of imaged, in an unpack worker: whatever may block, and whatever a stranger
# wrote, is read here. A descriptor that never answers holds up this process and no other.

@0xc7a94be1f2066d0b;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");
using Common = import "common.capnp";
using Image = import "image.capnp";
using Worker = import "image-worker.capnp";

interface FileWorker {
  read @0 (file :Common.File, most :UInt64) -> (bytes :Data);
  # A whole small file. Errors: `invalid` where it is no plain file, `exhausted` where it is larger.

  copy @1 (from :Common.File, into :Common.File, digest :Text, size :UInt64,
           progress :Common.ProgressSink) -> ();
  # Copies exactly `size` bytes, which have this digest, into an empty file, and syncs it. Errors:
  # `digestMismatch`, `exhausted`.

  sync @2 (file :Common.File) -> ();
  # Returns once the file's bytes are on the disk.

  digest @3 (file :Common.File, progress :Common.ProgressSink, like :Text)
      -> (digest :Text, size :UInt64);
  # Of a whole file, which is synced; by the algorithm of the digest `like`, SHA-256 without one.

  readArchive @4 (archive :Common.File, members :ArchiveMembers, maxBytes :UInt64) -> ();
  # Takes an image archive (tar) apart: a pipe or a file, read once from where it stands. Errors:
  # `invalid`, `exhausted`, `digestMismatch` for a blob that is not the one of its name.

  dockerManifest @5 (index :Data, members :List(ArchiveMember)) -> (manifest :Data, config :Text);
  # The image manifest for a Docker archive, whose own `manifest.json` names files only. `config` is
  # the name of the member that is the configuration. Errors: `invalid`.

  extractDisk @6 (layer :Worker.LayerInput, into :Common.File, maxBytes :UInt64,
                  progress :Common.ProgressSink)
      -> (found :Bool, bytes :UInt64, format :Image.Image.DiskFormat);
  # The one file below /disk of a layer that has nothing else, verified as `UnpackWorker.pack` does,
  # holes kept. Not `found`: the layer is another thing; `into` holds garbage.

  checkTree @7 (data :Common.File, tree :Common.File, salt :Data, root :Data,
                progress :Common.ProgressSink) -> (holds :Bool);
  # Whether the lowest hashes of a dm-verity tree, as `UnpackWorker.pack` writes them, are those of
  # the data, and its top is the root. What lies between is for the tree's own digest to prove.
}

# Where the members of an archive go.
interface ArchiveMembers {
  create @0 (name :Text, size :UInt64) -> (file :Common.File);
  # An empty file for it. Errors end the reading.

  complete @1 (member :ArchiveMember) -> ();
}

struct ArchiveMember {
  name @0 :Text;
  size @1 :UInt64;
  digest @2 :Text;
}
