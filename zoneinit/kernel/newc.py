# SPDX-License-Identifier: Apache-2.0
"""The "newc" cpio format, which the Linux kernel unpacks as its first root file system."""

from __future__ import annotations

import io
import stat

BLOCK = 512


class Archive:
  """An uncompressed newc archive in memory; same input, same bytes (times are 0, owners root)."""

  def __init__(self) -> None:
    self._out = io.BytesIO()
    self._made: set[str] = set()
    self._inode = 0

  def directory(self, path: str) -> None:
    """Adds a directory and those above it, each once."""
    parts = path.strip("/").split("/")
    for depth in range(1, len(parts) + 1):
      name = "/".join(parts[:depth])
      if name and name not in self._made:
        self._made.add(name)
        self._entry(name, stat.S_IFDIR | 0o755, b"")

  def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
    self._parent(path)
    self._entry(path.strip("/"), stat.S_IFREG | mode, content)

  def symlink(self, path: str, target: str) -> None:
    self._parent(path)
    self._entry(path.strip("/"), stat.S_IFLNK | 0o777, target.encode())

  def finish(self) -> bytes:
    """The finished archive, padded to whole blocks. The object is not to be used afterwards."""
    self._entry("TRAILER!!!", 0, b"")
    self._pad(BLOCK)
    return self._out.getvalue()

  def _parent(self, path: str) -> None:
    parent, _, _ = path.strip("/").rpartition("/")
    if parent:
      self.directory(parent)

  def _entry(self, name: str, mode: int, content: bytes) -> None:
    self._inode += 1
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (self._inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    self._out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + encoded)
    self._pad(4)
    self._out.write(content)
    self._pad(4)

  def _pad(self, unit: int) -> None:
    self._out.write(b"\0" * (-self._out.tell() % unit))
