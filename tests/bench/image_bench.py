# SPDX-License-Identifier: Apache-2.0
"""The image benchmark: from a registry on the loopback to a file system image that can be started.

Everything is measured in one run on one machine: imaged with its workers as they are shipped, what
others do for the same, and the floor that nobody gets below.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "zoneinit/kernel"))
sys.dont_write_bytecode = True

import registry
from kernel_source import update
from labpaths import cache
from oci_layout import CONFIG, INDEX, LAYER_TAR, MANIFEST, REF_NAME

# Trees of the Debian root this runs in, and of packages beside it; what they weigh compressed.
TREES = {
    "small": ["usr/sbin", "etc"],                        # some MB
    "medium": ["usr/share", "usr/include", "etc"],       # some 100 MB
    "large": ["etc", "usr", "var/lib"],                  # with the packages about 1 GB
}
PACKAGES = {"large": ["chromium", "firefox-esr", "ghc", "libqt6webenginecore6"]}
COMPRESSORS = {"gzip": ["gzip", "-1", "-n"], "zstd": ["zstd", "-q", "-3", "-T0"]}
IMAGES = (("small", "gzip"), ("medium", "gzip"), ("large", "gzip"), ("large", "zstd"))
PROCESSES = ("imaged", "imaged-fetch", "imaged-unpack")
SAMPLE_SECONDS = 0.02
CHUNK = 1 << 20


def say(text: str) -> None:
  print(f"bench image: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def scratch() -> Iterator[pathlib.Path]:
  folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=cache()))
  try:
    yield folder
  finally:
    shutil.rmtree(folder, ignore_errors=True)


# --- the images -----------------------------------------------------------------------------------


class Blob:
  """A file that hashes what is written into it, and takes its digest as its name."""

  def __init__(self, layout: pathlib.Path) -> None:
    self._folder = layout / "blobs/sha256"
    self._folder.mkdir(parents=True, exist_ok=True)
    self._path = self._folder / "new"

  def keep(self, content: bytes | None = None) -> tuple[str, int]:
    if content is not None:
      self._path.write_bytes(content)
    with self._path.open("rb") as file:
      digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = self._path.stat().st_size
    self._path.rename(self._folder / digest)
    return f"sha256:{digest}", size

  def compress(self, tar: list[str], compressor: list[str]) -> str:
    """Fills the file; returns the digest of what went in."""
    plain = hashlib.sha256()
    with self._path.open("wb") as out, \
         subprocess.Popen(tar, stdout=subprocess.PIPE) as source, \
         subprocess.Popen(compressor, stdin=subprocess.PIPE, stdout=out) as sink:
      assert source.stdout and sink.stdin
      while chunk := source.stdout.read(CHUNK):
        plain.update(chunk)
        sink.stdin.write(chunk)
      sink.stdin.close()
    if source.returncode or sink.returncode:
      raise RuntimeError(f"{tar[0]} or {compressor[0]} failed")
    return f"sha256:{plain.hexdigest()}"


def unpack_packages(names: list[str], into: pathlib.Path) -> None:
  into.mkdir(parents=True)
  with scratch() as folder:
    apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *names]
    if subprocess.run(apt, cwd=folder, check=False, stderr=subprocess.DEVNULL).returncode:
      update()  # The lists are not there yet, or name a version that the mirror has replaced.
      subprocess.run(apt, cwd=folder, check=True)
    for package in sorted(folder.glob("*.deb")):
      subprocess.run(["dpkg-deb", "-x", package, into], check=True)


def make_layout(layout: pathlib.Path, layers: list[list[str]], compression: str) -> None:
  """An image whose layers each hold some trees of this root."""
  shutil.rmtree(layout, ignore_errors=True)
  blob = Blob(layout)
  diffs, descriptors = [], []
  for trees in layers:
    tar = ["tar", "-C", "/", "--sort=name", "--numeric-owner", "--format=pax", "--one-file-system",
           "--pax-option=delete=atime,delete=ctime", "-cf", "-", *trees]
    diffs.append(blob.compress(tar, COMPRESSORS[compression]))
    layer, size = blob.keep()
    descriptors.append({"mediaType": f"{LAYER_TAR}+{compression}", "digest": layer, "size": size})
  config, config_size = blob.keep(json.dumps({
      "os": "linux", "architecture": "amd64", "config": {"Cmd": ["/bin/sh"]},
      "rootfs": {"type": "layers", "diff_ids": diffs}}).encode())
  manifest, manifest_size = blob.keep(json.dumps({
      "schemaVersion": 2, "mediaType": MANIFEST,
      "config": {"mediaType": CONFIG, "digest": config, "size": config_size},
      "layers": descriptors}).encode())
  (layout / "index.json").write_text(json.dumps({
      "schemaVersion": 2, "mediaType": INDEX,
      "manifests": [{"mediaType": MANIFEST, "digest": manifest, "size": manifest_size,
                     "annotations": {REF_NAME: "1"}}]}))
  (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def layouts() -> dict[str, pathlib.Path]:
  """An OCI layout for each image, made once."""
  root = pathlib.Path("cmake/sdk.packages").read_text()
  recipe = repr((TREES, PACKAGES, COMPRESSORS, IMAGES)) + root
  key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
  folder = cache() / f"bench-images-{key}"
  if not (folder / "done").exists():
    for old in cache().glob("bench-images-*"):
      shutil.rmtree(old, ignore_errors=True)
    with scratch() as beside:
      for name, packages in PACKAGES.items():
        unpack_packages(packages, beside / name / "opt")
      for name, compression in IMAGES:
        say(f"making the {name} image, {compression} (once)")
        more = ["-C", str(beside / name), "opt"] if name in PACKAGES else []
        make_layout(folder / f"{name}-{compression}", [TREES[name] + more], compression)
    (folder / "done").touch()
  return {f"{name}-{compression}": folder / f"{name}-{compression}"
          for name, compression in IMAGES}


def layer_of(layout: pathlib.Path) -> pathlib.Path:
  return max((layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)


# --- what is measured -----------------------------------------------------------------------------


class Watch:
  """What the processes of imaged hold and write, looked at while they run."""

  def __init__(self) -> None:
    self.peak = 0
    self._written: dict[str, int] = {}
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._run)

  @property
  def written(self) -> int:
    return sum(self._written.values())

  def __enter__(self) -> Watch:
    self._thread.start()
    return self

  def __exit__(self, *_: object) -> None:
    self._stop.set()
    self._thread.join()

  def _run(self) -> None:
    while not self._stop.wait(SAMPLE_SECONDS):
      held = 0
      for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
          status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
          if status["Name"].strip() not in PROCESSES:
            continue
          held += sum(int(status[key].split()[0]) for key in ("RssAnon", "RssShmem") if key in status)
          io = dict(line.split(": ") for line in (process / "io").read_text().splitlines())
          self._written[process.name] = int(io["write_bytes"])
      self.peak = max(self.peak, held)


def timed(*commands: list[str]) -> float:
  start = time.monotonic()
  for command in commands:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
      raise RuntimeError(f"{command[0]}: {done.stderr.strip().splitlines()[-1:]}")
  return time.monotonic() - start


def ours(build: pathlib.Path, address: str, *names: str,
         watch: Watch | contextlib.nullcontext = contextlib.nullcontext()) -> dict[str, float]:
  """Pulls images one after the other into one store that is empty at first."""
  with scratch() as folder:
    config = folder / "imaged.toml"
    config.write_text(f'[registry."{address}"]\ninsecure-http = true\n')
    state = folder / "state"
    state.mkdir()
    with watch:
      done = subprocess.run(
          [build / "tests/bench/image-host", "pull", build / "imaged", state, config,
           *(f"{address}/{name}:1" for name in names)], stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout)
    packed = sum(path.stat().st_size for path in state.rglob("root.squashfs"))
    return {**result, "packed": packed}


def chain(address: str, name: str) -> float:
  with scratch() as folder:
    return timed(
        ["skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false",
         f"docker://{address}/{name}:1", f"oci:{folder}/layout:1"],
        ["umoci", "unpack", "--image", f"{folder}/layout:1", f"{folder}/bundle"],
        ["mksquashfs", f"{folder}/bundle/rootfs", f"{folder}/image", "-quiet", "-no-progress",
         "-comp", "zstd", "-Xcompression-level", "1"])


PODMAN_DRIVERS = ("overlay", "vfs")
# podman makes its root private before it unpacks, so its root must be a mount, which that of the
# toolchain is not.
AS_MOUNT = ["unshare", "--mount", "--propagation", "unchanged", "--", "sh", "-c",
            'mount --rbind / "$0" && exec chroot "$0" "$@"']


def podman(address: str, name: str) -> tuple[str, float]:
  """The storage driver that works here, and the time. Fails with what podman says."""
  why = ""
  for driver in PODMAN_DRIVERS:
    with scratch() as folder:
      (folder / "root-mount").mkdir()
      (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
      try:
        return driver, timed(
            [*AS_MOUNT, f"{folder}/root-mount", "podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run",
             "--storage-driver", driver, "pull", "--quiet", "--tls-verify=false",
             "--signature-policy", f"{folder}/policy.json", f"{address}/{name}:1"])
      except (RuntimeError, OSError) as error:
        why += f"{driver}: {error}; "
  raise RuntimeError(why)


def floor(build: pathlib.Path, layout: pathlib.Path, compression: str) -> float:
  """The best of two: the first may have to read from the disk."""
  times = []
  for _ in range(2):
    done = subprocess.run([build / "tests/bench/image-host", "floor", layer_of(layout), compression],
                          stdout=subprocess.PIPE, check=True)
    times.append(json.loads(done.stdout)["seconds"])
  return min(times)


def row(name: str, value: float, unit: str, peer: str = "", peer_value: float = 0) -> dict:
  result: dict = {"name": name, "value": value, "unit": unit}
  if peer:
    result |= {"peer": peer, "peer_value": peer_value, "ratio": value / peer_value}
  return result


def measure_image(build: pathlib.Path, address: str, layout: pathlib.Path,
                  compression: str) -> list[dict]:
  size = layer_of(layout).stat().st_size
  name = f"{layout.name} ({size / 1e6:.0f} MB)"
  say(f"{name}: imaged")
  us = ours(build, address, layout.name)
  watch = Watch()  # in a run of its own: looking costs a tenth of the time
  ours(build, address, layout.name, watch=watch)
  lowest = floor(build, layout, compression)
  rows = [row(f"{name}: cold pull", us["cold"], "s", "inflate + sha256", lowest)]
  if compression == "gzip":
    say(f"{name}: skopeo, umoci, mksquashfs")
    rows.append(row(f"{name}: cold pull", us["cold"], "s", "skopeo+umoci+mksquashfs",
                    chain(address, layout.name)))
    say(f"{name}: podman")
    try:
      driver, seconds = podman(address, layout.name)
      rows.append(row(f"{name}: cold pull", us["cold"], "s", f"podman pull ({driver})", seconds))
    except RuntimeError as error:
      say(f"podman cannot run here, so this peer is left out: {error}")
  rows.append(row(f"{name}: warm pull", us["warm"] * 1000, "ms"))
  rows.append(row(f"{name}: peak memory", watch.peak / 1024, "MiB"))
  rows.append(row(f"{name}: disk written", watch.written / 1e6, "MB", "blob + packed image",
                  (size + us["packed"]) / 1e6))
  return rows


def measure(build: str) -> list[dict]:
  made = layouts()
  rows = []
  with scratch() as folder, registry.serving(folder) as address:
    address = address.replace("127.0.0.1", "localhost")
    for layout in made.values():
      registry.push(registry.Layout(layout), "1", None, address)
    for name, layout in made.items():
      rows += measure_image(pathlib.Path(build).resolve(), address, layout, name.split("-")[1])
  return rows
