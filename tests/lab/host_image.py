# SPDX-License-Identifier: Apache-2.0
"""A lab host's disk: the base tree with packages, container images and files laid over it.

Kept under lab/image-KEY: `disk` (a sparse ext4 image that no machine ever writes to: machines
put a copy-on-write overlay before it) and `base` (the name of the base's folder).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator

import base_image
import labpaths
import registry
from labpaths import LabError, cache, digest, locked, say, timed

DISK_SIZE = "6G"
KEPT_IMAGES = 3
KEPT_SECONDS = 30 * 60.0


@dataclasses.dataclass(frozen=True)
class Inputs:
  """What a host holds besides the base: folders of .deb files, of OCI layouts, and of files."""

  debs: tuple[pathlib.Path, ...] = ()
  oci: tuple[pathlib.Path, ...] = ()
  files: tuple[pathlib.Path, ...] = ()

  def packages(self) -> list[pathlib.Path]:
    found = [deb for folder in self.debs for deb in sorted(folder.glob("*.deb"))]
    if self.debs and not found:
      raise LabError(f"no .deb file in {', '.join(map(str, self.debs))}")
    return found


@dataclasses.dataclass(frozen=True)
class HostImage:
  """A finished image: where its disk and its base's boot files are."""

  folder: pathlib.Path

  @property
  def key(self) -> str:
    return self.folder.name.removeprefix("image-")

  @property
  def disk(self) -> pathlib.Path:
    return self.folder / "disk"

  @property
  def base(self) -> pathlib.Path:
    return self.folder.parent / (self.folder / "base").read_text()

  def touch(self) -> None:
    """Marks the image as used now, which keeps it from being removed."""
    os.utime(self.folder)


def ensure(inputs: Inputs) -> HostImage:
  """The image for `inputs`, made if need be, and remembered as the one `lab up` starts."""
  base = base_image.ensure()
  layouts = registry.find_layouts(inputs.oci)
  packages = inputs.packages()
  key = digest(base.name, pathlib.Path(__file__), *packages, *inputs.files,
               registry.key(layouts))
  folder = cache() / f"image-{key}"
  with locked("image"):
    if not (folder / "done").exists():
      with timed("host image"):
        _make(folder, base, packages, registry.ensure(layouts), inputs.files)
    _remember(folder, inputs)
  image = HostImage(folder)
  image.touch()
  return image


def current() -> HostImage:
  """The image made last, remade if its base is no longer the present one; else the bare base."""
  try:
    record = json.loads((cache() / "current").read_text())
  except (FileNotFoundError, json.JSONDecodeError):
    return ensure(Inputs())
  folder = cache() / record["image"]
  if (folder / "done").exists() and (folder / "base").read_text() == f"base-{base_image.key()}":
    return HostImage(folder)
  kinds = ("debs", "oci", "files")
  return ensure(Inputs(*(tuple(map(pathlib.Path, record[kind])) for kind in kinds)))


def _remember(folder: pathlib.Path, inputs: Inputs) -> None:
  paths = {kind: [str(path.resolve()) for path in found]
           for kind, found in dataclasses.asdict(inputs).items()}
  (cache() / "current").write_text(json.dumps({"image": folder.name, **paths}))


def _make(folder: pathlib.Path, base: pathlib.Path, packages: list[pathlib.Path],
          storage: pathlib.Path | None, files: tuple[pathlib.Path, ...]) -> None:
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir()
  with _layered(base / "root") as root:
    if packages:
      _install(root, packages)
    if storage:
      shutil.copytree(storage, root / "var/lib/docker-registry", dirs_exist_ok=True)
    for tree in files:
      subprocess.run(["cp", "-a", f"{tree}/.", f"{root}/"], check=True)
    (root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", "lab", "-m", "0",
                    "-O", "^has_journal,^metadata_csum_seed,^orphan_file", "-d", root,
                    folder / "disk", DISK_SIZE], check=True)
  (folder / "base").write_text(base.name)
  (folder / "done").touch()


@contextlib.contextmanager
def _layered(lower: pathlib.Path) -> Iterator[pathlib.Path]:
  """A writable view of the tree `lower`, which itself stays as it is."""
  with tempfile.TemporaryDirectory(dir=cache(), prefix="layer-") as work:
    upper, scratch, root = (pathlib.Path(work) / name for name in ("upper", "scratch", "root"))
    for path in (upper, scratch, root):
      path.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={scratch}"
    subprocess.run(["mount", "-t", "overlay", "lab", "-o", options, root], check=True)
    try:
      yield root
    finally:
      subprocess.run(["umount", "--lazy", root], check=True)


@contextlib.contextmanager
def _runnable(root: pathlib.Path) -> Iterator[None]:
  """The kernel's file systems in the tree, and a /run that does not stay in it."""
  kernel = [(name, ["--rbind", f"/{name}"]) for name in ("proc", "sys", "dev")]
  mounted = []
  try:
    for name, how in [*kernel, ("run", ["-t", "tmpfs", "none"])]:
      subprocess.run(["mount", *how, root / name], check=True)
      mounted.append(root / name)
      subprocess.run(["mount", "--make-rslave", root / name], check=True)
    yield
  finally:
    for target in mounted:
      subprocess.run(["umount", "--recursive", "--lazy", target], check=True)


def _install(root: pathlib.Path, packages: list[pathlib.Path]) -> None:
  with _runnable(root), tempfile.TemporaryDirectory(dir=root / "run") as inside:
    for package in packages:
      shutil.copy(package, inside)
    names = [f"/run/{pathlib.Path(inside).name}/{package.name}" for package in packages]
    done = subprocess.run(
        ["chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "LANG=C.UTF-8",
         "dpkg", "--install", *names],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
  if done.returncode:
    raise LabError("the packages do not install (what they depend on is to be in "
                   f"tests/lab/host.packages):\n{done.stdout}")


def prune(in_use: set[str]) -> None:
  """Removes all but the newest images and those used lately, with the states saved of them."""
  images = sorted(cache().glob("image-*"), key=lambda folder: folder.stat().st_mtime)
  bases = {f"base-{base_image.key()}"}
  for folder in images[:-KEPT_IMAGES]:
    if folder.name in in_use or time.time() - folder.stat().st_mtime < KEPT_SECONDS:
      continue
    say(f"removing the old {folder.name}")
    for state in cache().glob(f"state-{folder.name.removeprefix('image-')}-*"):
      shutil.rmtree(state, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
  for folder in cache().glob("image-*"):
    if (folder / "base").exists():
      bases.add((folder / "base").read_text())
  for folder in cache().glob("base-*"):
    if folder.name not in bases and time.time() - folder.stat().st_mtime > KEPT_SECONDS:
      shutil.rmtree(folder, ignore_errors=True)
