# SPDX-License-Identifier: Apache-2.0
"""OCI image layouts, written so that the same input gives the same bytes."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import pathlib
import stat
import subprocess
import tarfile

EPOCH = "1970-01-01T00:00:00Z"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"


class Tar:
  """One layer's contents, in the order of the calls; times are 0."""

  def __init__(self) -> None:
    self._out = io.BytesIO()
    self._tar = tarfile.open(fileobj=self._out, mode="w", format=tarfile.PAX_FORMAT)
    self._made: set[str] = set()

  def directory(self, path: str, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> None:
    path = path.strip("/")
    self._parents(path)
    if path not in self._made:
      self._made.add(path)
      self._add(path, tarfile.DIRTYPE, mode, owner)

  def file(self, path: str, content: bytes, mode: int = 0o644,
           owner: tuple[int, int] = (0, 0)) -> None:
    self._parents(path)
    self._add(path, tarfile.REGTYPE, mode, owner, content)

  def symlink(self, path: str, target: str) -> None:
    self._parents(path)
    self._add(path, tarfile.SYMTYPE, 0o777, (0, 0), link=target)

  def hard_link(self, path: str, target: str) -> None:
    """Another name for the file `target`, which was added before."""
    self._parents(path)
    self._add(path, tarfile.LNKTYPE, 0o644, (0, 0), link=target.strip("/"))

  def whiteout(self, path: str) -> None:
    """Removes what lower layers have at `path`."""
    parent, _, name = path.strip("/").rpartition("/")
    self.file(f"{parent}/.wh.{name}", b"")

  def opaque(self, path: str) -> None:
    """Hides all that lower layers have in the folder `path`."""
    self.directory(path)
    self.file(f"{path}/.wh..wh..opq", b"")

  def tree(self, folder: pathlib.Path, prefix: str = "", skip: tuple[str, ...] = ()) -> None:
    """A folder of this machine with modes and owners; sockets and devices are left out."""
    links: dict[tuple[int, int], str] = {}
    for path in sorted(folder.rglob("*")):
      name = str(path.relative_to(folder))
      if any(name == part or name.startswith(part + "/") for part in skip):
        continue
      self._from_disk(path, f"{prefix}/{name}".strip("/"), links)

  def finish(self) -> bytes:
    self._tar.close()
    return self._out.getvalue()

  def _from_disk(self, path: pathlib.Path, name: str, links: dict[tuple[int, int], str]) -> None:
    info = path.lstat()
    owner = (info.st_uid, info.st_gid)
    mode = stat.S_IMODE(info.st_mode)
    if stat.S_ISLNK(info.st_mode):
      self.symlink(name, os.readlink(path))
    elif stat.S_ISDIR(info.st_mode):
      self.directory(name, mode, owner)
    elif stat.S_ISREG(info.st_mode):
      inode = (info.st_dev, info.st_ino)
      if inode in links:
        self.hard_link(name, links[inode])
      else:
        links[inode] = name
        self.file(name, path.read_bytes(), mode, owner)

  def _parents(self, path: str) -> None:
    parts = path.strip("/").split("/")[:-1]
    for depth in range(1, len(parts) + 1):
      parent = "/".join(parts[:depth])
      if parent not in self._made:
        self._made.add(parent)
        self._add(parent, tarfile.DIRTYPE, 0o755, (0, 0))

  def _add(self, path: str, kind: bytes, mode: int, owner: tuple[int, int], content: bytes = b"",
           link: str = "") -> None:
    entry = tarfile.TarInfo(path.strip("/"))
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(content), link
    entry.uid, entry.gid = owner
    self._tar.addfile(entry, io.BytesIO(content) if content else None)


@dataclasses.dataclass(frozen=True)
class Layer:
  """A layer as it is stored, and the digest of its tar archive."""

  blob: bytes
  media_type: str
  diff_id: str

  @staticmethod
  def of(tar: Tar, compression: str = "gzip") -> Layer:
    """`compression`: gzip, zstd or none."""
    data = tar.finish()
    diff_id = sha256(data)
    match compression:
      case "gzip":
        return Layer(gzip.compress(data, 6, mtime=0), LAYER_TAR + "+gzip", diff_id)
      case "zstd":
        blob = subprocess.run(["zstd", "-cq", "-9"], input=data, stdout=subprocess.PIPE,
                              check=True).stdout
        return Layer(blob, LAYER_TAR + "+zstd", diff_id)
      case "none":
        return Layer(data, LAYER_TAR, diff_id)
      case _:
        raise ValueError(compression)


def sha256(data: bytes) -> str:
  return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
  """An image layout folder; images are added one by one and the index follows."""

  def __init__(self, folder: pathlib.Path) -> None:
    self._folder = folder
    self._manifests: list[dict[str, object]] = []
    (folder / "blobs/sha256").mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}\n')

  def image(self, tag: str, layers: list[Layer], run: dict[str, object] | None = None,
            annotations: dict[str, str] | None = None, architecture: str = "amd64",
            index_annotations: dict[str, str] | None = None) -> None:
    """Adds an image. `run` is the configuration's "config": Cmd, Env, User and so on."""
    self._name(self._image(layers, run, annotations, architecture), tag, index_annotations)

  def multi_platform(self, tag: str, platforms: dict[str, list[Layer]],
                     run: dict[str, object]) -> None:
    """Adds an image index: one image an architecture, under one name."""
    images = [self._image(layers, run, None, name) for name, layers in platforms.items()]
    index = self._json({"schemaVersion": 2, "mediaType": INDEX, "manifests": images}, INDEX)
    self._name(index, tag, None)

  def _image(self, layers: list[Layer], run: dict[str, object] | None,
             annotations: dict[str, str] | None, architecture: str) -> dict[str, object]:
    config: dict[str, object] = {
        "created": EPOCH, "architecture": architecture, "os": "linux", "config": run or {},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": EPOCH, "created_by": "bulkhead"} for _ in layers],
    }
    manifest: dict[str, object] = {
        "schemaVersion": 2, "mediaType": MANIFEST, "config": self._json(config, CONFIG),
        "layers": [self._blob(layer.blob, layer.media_type) for layer in layers],
    }
    if annotations:
      manifest["annotations"] = annotations
    descriptor = self._json(manifest, MANIFEST)
    descriptor["platform"] = {"architecture": architecture, "os": "linux"}
    return descriptor

  def _name(self, descriptor: dict[str, object], tag: str,
            annotations: dict[str, str] | None) -> None:
    self._manifests.append({**descriptor, "annotations": {REF_NAME: tag, **(annotations or {})}})
    index: dict[str, object] = {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": self._manifests}
    (self._folder / "index.json").write_bytes(_encode(index))

  def _json(self, value: dict[str, object], media_type: str) -> dict[str, object]:
    return self._blob(_encode(value), media_type)

  def _blob(self, data: bytes, media_type: str) -> dict[str, object]:
    digest = sha256(data)
    (self._folder / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _encode(value: dict[str, object]) -> bytes:
  return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
