# SPDX-License-Identifier: Apache-2.0
#
# The two workers of imaged. One process a connection: it does one job and dies with it. Strangers'
# bytes are parsed here and nowhere else.

@0xe41c6f3b92d84404;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");
using Common = import "common.capnp";
using Image = import "image.capnp";

# The bootstrap of fetch.sock. Has TCP and no file but those passed. Calls of one connection share
# its connections to registries and its tokens, and run side by side.
interface FetchWorker {
  resolve @0 (request :ResolveRequest) -> (result :ResolveResult);
  # Finds the manifest of one platform, verified against every digest on the way and against the
  # signature policy. Errors as `ImageStore.pull`, and `denied` where the policy is not met.

  fetchBlob @1 (request :BlobRequest, into :Common.File, progress :Common.ProgressSink)
      -> (verified :Data);
  # Streams one blob into a descriptor opened for writing, from its offset 0. Returns the digest, of
  # the algorithm that the request's has, of exactly `size` bytes received; the caller compares.
  # Fails with `digestMismatch` as soon as size or digest cannot be right. Without `into` nothing is
  # fetched: it fails as a fetch would where the registry itself, its mirrors aside, does not give
  # us that blob of that repository, and returns nothing.
}

struct Registry {
  host @0 :Text;             # "registry.example:5000"
  scheme @1 :Scheme;
  caBundle @2 :Data;         # PEM; empty: the system's
  credentials @3 :Image.Credentials;
  enum Scheme {
    https @0;
    http @1;                 # only by explicit configuration of that host
  }
  mirrors @4 :List(Registry);    # asked first, in this order; each with what is its own
  repositoryPrefix @5 :Text;     # of a mirror: stands there before the repository's name, or empty
  clientCertificate @6 :Data;    # PEM, shown to this host alone; empty: none
  clientKey @7 :Data;            # PEM
  proxy @8 :Text;                # "http://proxy.example:3128"; empty: none
  proxyCredentials @9 :Image.Credentials;   # none, or a password
  tokenHosts @10 :List(Text);    # besides `host`, who may be shown the credentials for a token
  bytesPerSecond @11 :UInt64;    # of all its transfers together; 0: no limit
  stallSeconds @12 :UInt32;      # that a transfer may stand still; 0: 30
}

struct ResolveRequest {
  registry @0 :Registry;
  repository @1 :Text;
  tag @2 :Text;              # empty where `digest` names the manifest
  digest @3 :Text;
  platform @4 :Image.ImagePlatform;
  signatures @5 :SignaturePolicy;
}

# Whose signature an image must carry.
struct SignaturePolicy {
  kind @0 :Kind;
  keys @1 :List(Data);       # PEM, public: ECDSA on P-256, or Ed25519; any of them will do
  identity @2 :Text;         # the repository that the signature must name; empty: the one asked
  enum Kind {
    insecureAcceptAnything @0;
    reject @1;
    sigstoreSigned @2;       # as cosign signs with a key: tag sha256-DIGITS.sig, simple signing
  }
}

# What became of the policy.
struct SignatureVerdict {
  kind @0 :Kind;
  keyFingerprint @1 :Text;   # SHA-256 of the key as DER, as a digest
  signedDigest @2 :Text;     # of the manifest, or of the index that leads to it
  identity @3 :Text;         # the repository the signature names
  enum Kind {
    unchecked @0;            # the policy asked for nothing
    verified @1;
  }
}

struct ResolveResult {
  manifest @0 :Data;         # bit-exact
  manifestDigest @1 :Text;
  config @2 :Data;           # bit-exact
  configDigest @3 :Text;
  layers @4 :List(Layer);
  platform @5 :Image.ImagePlatform;
  type @6 :Image.ImageType;
  container @7 :Image.ContainerConfig;
  createdUnixSeconds @8 :Int64;
  signature @9 :SignatureVerdict;
}

struct Layer {
  digest @0 :Text;
  size @1 :UInt64;
  compression @2 :Compression;
  diffId @3 :Text;
  enum Compression {
    none @0;
    gzip @1;
    zstd @2;
  }
}

struct BlobRequest {
  registry @0 :Registry;
  repository @1 :Text;
  digest @2 :Text;
  size @3 :UInt64;
}

# The bootstrap of unpack.sock. No network, no path, only passed descriptors.
interface UnpackWorker {
  inspect @0 (manifest :Data, config :Data, platform :Image.ImagePlatform) -> (result :ResolveResult);
  # Strict parse of documents that came from a layout directory.

  inspectIndex @1 (index :Data, tag :Text, platform :Image.ImagePlatform)
      -> (digest :Text, size :UInt64, mediaType :Text);
  # Which manifest, or which further index, an index means. Given a manifest instead: where its
  # configuration is.

  pack @2 (layers :List(LayerInput), outputs :PackOutputs, limits :PackLimits,
           progress :Common.ProgressSink) -> (result :PackResult);
  # Verifies digest and diffID of every layer while reading it, flattens them without extracting
  # anything, and writes the outputs. On failure the outputs hold garbage and are thrown away.

  files @3 () -> (worker :Capability);
  # The same process, as one that reads and checks single files: `FileWorker` of
  # image-files.capnp, which stands on this file.
}

struct LayerInput {
  blob @0 :Common.File;     # opened for reading
  layer @1 :Layer;
  arrival @2 :Common.File;  # of a blob that is still being written: the reading end of a pipe, which
                            # yields a byte or more whenever the file has grown, and its end when
                            # nothing will be added. The highest layer is read first
}

struct PackOutputs {
  union {
    squashfs @0 :Common.File;       # opened for reading and writing, empty
    kernel :group {
      image @1 :Common.File;        # the canonical ELF
      addons @2 :Common.File;
      bootArchive @3 :Common.File;  # CPIO of modules the initial file system must load
      metadata @4 :Common.File;
    }
    cpio @5 :Common.File;           # a system image as an uncompressed "newc" archive; archives
                                    # one behind the other are one initial file system
  }
  verity @6 :Common.File;   # for a squashfs, optional, empty, opened for reading and writing: its
                            # dm-verity superblock and hash tree
  compression @7 :BlockCompression;   # of a squashfs
}

enum BlockCompression {
  lz4 @0;
  zstd @1;
}

struct PackLimits {
  maxBytes @0 :UInt64;       # of all uncompressed streams together
  maxEntries @1 :UInt64;
}

struct PackResult {
  bytes @0 :UInt64;          # written, padding included
  entries @1 :UInt64;
  kernelVersion @2 :Text;    # of a kernel image
  verityRoot @3 :Data;       # root hash; empty where no `verity` was asked for
  veritySalt @4 :Data;       # follows from the layers alone, as everything here does
  verityBytes @5 :UInt64;    # of superblock and hash tree
}
