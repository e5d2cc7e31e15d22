# SPDX-License-Identifier: Apache-2.0
#
# What the image store keeps on disk beside the packed files. Fields are only ever added.

@0xd1a35f0e6c2b9847;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::record");
using Image = import "/schemas/image.capnp";
using Worker = import "/schemas/image-worker.capnp";

# images/MANIFEST/record: one packed image.
struct ImageRecord {
  resolved @0 :Worker.ResolveResult;       # also what the signature policy said
  packedBytes @1 :UInt64;
  entries @2 :UInt64;
  kernelVersion @3 :Text;
  packedUnixSeconds @4 :Int64;
  files @5 :List(Image.PackedFile);        # the packed files beside the record
  diskFormat @6 :Image.Image.DiskFormat;   # of a disk image
  verityRoot @7 :Data;                     # of a container; empty: there is no hash tree
  veritySalt @8 :Data;
  verityBytes @9 :UInt64;
}

# references/SHA256-OF-THE-NAME: what a name means.
struct ReferenceRecord {
  name @0 :Text;              # Reference::canonical()
  manifestDigest @1 :Text;
  pulledUnixSeconds @2 :Int64;
  origin @3 :Origin;
  enum Origin {
    local @0;                 # a layout or an archive: says nothing of what a registry allows
    registry @1;              # the registry of that name gave it
  }
}
