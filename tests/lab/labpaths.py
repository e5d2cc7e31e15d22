# SPDX-License-Identifier: Apache-2.0
"""Where the lab keeps things, what names them, and how it says what went wrong."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pathlib
import sys
import time
from collections.abc import Iterator

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
KERNEL_TOOLS = TOP / "zoneinit" / "kernel"

# The image tools there are shared: cpio archives, kernel modules, OCI layouts.
sys.path.insert(0, str(KERNEL_TOOLS))


class LabError(Exception):
  """What the user is told: one message, maybe the console's last lines, and an exit code."""

  def __init__(self, message: str, code: int = 1, console: pathlib.Path | None = None) -> None:
    super().__init__(message)
    self.code = code
    self.console = console


def say(message: str) -> None:
  print(f"lab: {message}", file=sys.stderr, flush=True)


def cache() -> pathlib.Path:
  """The lab's own folder in the cache all checkouts share."""
  folder = pathlib.Path(os.environ.get("BULKHEAD_CACHE", "/var/cache/bulkhead")) / "lab"
  folder.mkdir(parents=True, exist_ok=True)
  return folder


def digest(*parts: str | bytes | pathlib.Path) -> str:
  """A short key of texts, files and whole folders: names, modes and contents, not times."""
  sum_ = hashlib.sha256()

  def add(data: bytes) -> None:
    sum_.update(len(data).to_bytes(8, "little"))
    sum_.update(data)

  for part in parts:
    if isinstance(part, str):
      add(part.encode())
    elif isinstance(part, bytes):
      add(part)
    else:
      for file in [part] if part.is_file() else sorted(part.rglob("*")):
        if file.is_symlink():
          add(f"{file.relative_to(part)} -> {os.readlink(file)}".encode())
        elif file.is_file():
          add(f"{file.relative_to(part)} {file.stat().st_mode:o}".encode())
          with file.open("rb") as stream:
            add(hashlib.file_digest(stream, "sha256").digest())
  return sum_.hexdigest()[:16]


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
  """One maker at a time of what `name` stands for; others wait for it and find it made."""
  with (cache() / f"{name}.lock").open("w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
  start = time.monotonic()
  yield
  say(f"{what}: {time.monotonic() - start:.1f} s")


def tail(file: pathlib.Path, lines: int = 40) -> str:
  """The last lines of a log, without the control characters a console log is full of."""
  if not file.exists():
    return "(no log)"
  text = file.read_bytes()[-64 * 1024:].decode(errors="replace").replace("\r", "")
  clean = "".join(c for c in text if c.isprintable() or c in "\n\t")
  return "\n".join(clean.splitlines()[-lines:])
