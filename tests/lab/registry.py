# SPDX-License-Identifier: Apache-2.0
"""The lab host's container registry, filled from OCI layouts before the host ever runs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

from labpaths import LabError, cache, digest, tail, timed

START_DEADLINE = 20.0

# An image whose manifest in the layout's index carries this is pushed in that format instead;
# "v2s2" is Docker's own, which a layout cannot hold.
PUSH_FORMAT = "org.bulkhead.test.push-format"


@dataclasses.dataclass(frozen=True)
class Layout:
  """One OCI layout folder; its name is the repository, its references are the tags."""

  folder: pathlib.Path

  @property
  def repository(self) -> str:
    return self.folder.name.removesuffix(".oci")

  def images(self) -> list[tuple[str, str | None]]:
    """(tag, push format) of each image in the index."""
    found = []
    for manifest in json.loads((self.folder / "index.json").read_text())["manifests"]:
      notes = manifest.get("annotations", {})
      found.append((notes.get("org.opencontainers.image.ref.name", ""), notes.get(PUSH_FORMAT)))
    return found


def find_layouts(folders: tuple[pathlib.Path, ...]) -> list[Layout]:
  """Each folder is a layout, or holds layouts."""
  found = []
  for folder in folders:
    if not folder.is_dir():
      raise LabError(f"no folder {folder}")
    inner = [folder] if (folder / "oci-layout").exists() else sorted(folder.iterdir())
    layouts = [Layout(path.resolve()) for path in inner if (path / "oci-layout").exists()]
    if not layouts:
      raise LabError(f"no OCI layout in {folder}")
    found += layouts
  return found


def key(layouts: list[Layout]) -> str:
  # An index names everything by digest, so it stands for the whole layout.
  return digest(pathlib.Path(__file__), *[
      part for layout in layouts
      for part in (layout.repository, (layout.folder / "index.json").read_bytes())
  ])


def ensure(layouts: list[Layout]) -> pathlib.Path | None:
  """The registry's storage folder holding all `layouts`; nothing if there are none."""
  if not layouts:
    return None
  folder = cache() / f"registry-{key(layouts)}"
  if (folder / "done").exists():
    return folder / "storage"
  for old in cache().glob("registry-*"):
    shutil.rmtree(old, ignore_errors=True)
  (folder / "storage").mkdir(parents=True)
  with timed(f"registry with {len(layouts)} images"), serving(folder) as address:
    for layout in layouts:
      for tag, form in layout.images():
        push(layout, tag, form, address)
  (folder / "done").touch()
  return folder / "storage"


def push(layout: Layout, tag: str, form: str | None, address: str) -> None:
  command = ["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false"]
  command += ["--format", form] if form else ["--all", "--preserve-digests"]
  source = f"oci:{layout.folder}:{tag}" if tag else f"oci:{layout.folder}"
  target = f"docker://{address}/{layout.repository}:{tag or 'latest'}"
  done = subprocess.run([*command, source, target], capture_output=True, text=True, check=False)
  if done.returncode:
    raise LabError(f"{layout.repository}:{tag} does not go into the registry: "
                   f"{done.stderr.strip()}")


@contextlib.contextmanager
def serving(folder: pathlib.Path) -> Iterator[str]:
  """A registry of our own on the loopback, with its storage in `folder`."""
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
  config = folder / "config.yml"
  config.write_text(json.dumps({
      "version": 0.1,
      "log": {"level": "warn", "accesslog": {"disabled": True}},
      "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
      "http": {"addr": f"127.0.0.1:{port}", "secret": "lab"},
  }))
  with tempfile.NamedTemporaryFile() as log:
    server = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log,
                              env={**os.environ, "OTEL_TRACES_EXPORTER": "none"})
    try:
      _wait_for(port, server, pathlib.Path(log.name))
      yield f"127.0.0.1:{port}"
    finally:
      server.terminate()
      server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes], log: pathlib.Path) -> None:
  # The registry announces nothing when it is ready; a connection that is accepted tells.
  deadline = time.monotonic() + START_DEADLINE
  while time.monotonic() < deadline and server.poll() is None:
    with socket.socket() as client:
      if client.connect_ex(("127.0.0.1", port)) == 0:
        return
    time.sleep(0.05)
  raise LabError(f"the registry does not start:\n{tail(log, 20)}")
