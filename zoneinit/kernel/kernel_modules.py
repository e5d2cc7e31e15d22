# SPDX-License-Identifier: Apache-2.0
"""Kernel modules as Debian packs them: finding them, their load order, and unpacking them."""

from __future__ import annotations

import gzip
import lzma
import pathlib
import subprocess

SUFFIXES = (".ko", ".ko.xz", ".ko.gz", ".ko.zst")


def module_name(path: str) -> str:
  """The name the kernel knows a module file by: no folder, no suffix, underscores."""
  return pathlib.PurePath(path).name.split(".ko")[0].replace("-", "_")


def read_module(path: pathlib.Path) -> bytes:
  """The module as the kernel's loader takes it, not compressed."""
  data = path.read_bytes()
  match path.suffix:
    case ".xz":
      return lzma.decompress(data)
    case ".gz":
      return gzip.decompress(data)
    case ".zst":
      return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout
    case _:
      return data


class ModuleTree:
  """The modules of one kernel version: `root`/lib/modules/VERSION with depmod's tables."""

  def __init__(self, folder: pathlib.Path) -> None:
    self.folder = folder
    self._file: dict[str, str] = {}
    self._needs: dict[str, list[str]] = {}
    for line in (folder / "modules.dep").read_text().splitlines():
      file, _, needs = line.partition(":")
      self._file[module_name(file)] = file
      self._needs[module_name(file)] = [module_name(need) for need in needs.split()]
    self._soft: dict[str, list[str]] = {}
    soft = folder / "modules.softdep"
    for line in soft.read_text().splitlines() if soft.exists() else []:
      self._read_soft(line.split())
    self._built_in = {
        module_name(line) for line in (folder / "modules.builtin").read_text().split()
    }

  def built_in(self, name: str) -> bool:
    return name.replace("-", "_") in self._built_in

  def path(self, name: str) -> pathlib.Path:
    return self.folder / self._file[name.replace("-", "_")]

  def load_order(self, wanted: list[str]) -> list[str]:
    """Names of all modules to load, each after those it needs; what is built in is left out.

    A name that is neither a module nor built in is a KeyError.
    """
    order: list[str] = []

    def visit(name: str) -> None:
      name = name.replace("-", "_")
      if name in order or self.built_in(name):
        return
      for need in self._soft.get(name, []):
        if need in self._file:
          visit(need)
      for need in self._needs[name]:
        visit(need)
      order.append(name)

    for name in wanted:
      visit(name)
    return order

  def _read_soft(self, words: list[str]) -> None:
    # "softdep NAME pre: A B post: C": what comes before helps the module at load time.
    if len(words) < 3 or words[0] != "softdep" or "pre:" not in words:
      return
    rest = words[words.index("pre:") + 1:]
    rest = rest[:rest.index("post:")] if "post:" in rest else rest
    self._soft.setdefault(words[1].replace("-", "_"), []).extend(rest)
