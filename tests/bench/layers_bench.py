# SPDX-License-Identifier: Apache-2.0
"""What images that share layers cost, in the two ways to keep them.

One file system an image, all layers laid over each other, is what imaged makes. The other way is
one file system a layer, stacked when a zone starts; each layer is packed here as an image of its
own. Three families, each of three programs on a runtime on the one base.
"""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

import registry
from image_bench import make_layout, ours, row, say, scratch

BASE = ["etc", "usr/sbin", "usr/share/man", "usr/lib/file", "usr/lib/systemd"]
RUNTIMES = {
    "scripts": ["usr/lib/python3", "usr/lib/python3.13"],
    "services": ["usr/lib/cni", "usr/lib/podman"],
    "compilers": ["usr/lib/llvm-19", "usr/lib/gcc"],
}
PROGRAMS = (["usr/share/perl"], ["usr/lib/git-core"], ["usr/share/cmake-3.31"])


def images(family: str) -> dict[str, list[list[str]]]:
  return {f"{family}-{i}": [BASE, RUNTIMES[family], program]
          for i, program in enumerate(PROGRAMS)}


def single_layers(family: str) -> dict[str, list[list[str]]]:
  layers = [BASE, RUNTIMES[family], *PROGRAMS]
  return {f"{family}-layer-{i}": [layer] for i, layer in enumerate(layers)}


def measure(build: str) -> list[dict]:
  rows = []
  with scratch() as folder, scratch() as served, registry.serving(served) as address:
    address = address.replace("127.0.0.1", "localhost")
    for family in RUNTIMES:
      say(f"family {family}")
      costs = []
      for recipes in (images(family), single_layers(family)):
        for name, layers in recipes.items():
          make_layout(folder / name, layers, "gzip")
          registry.push(registry.Layout(folder / name), "1", None, address)
        costs.append(ours(pathlib.Path(build).resolve(), address, *recipes))
      flat, stacked = costs
      peer = "a file system a layer"
      rows.append(row(f"{family}: three images, packed", flat["packed"] / 1e6, "MB", peer,
                      stacked["packed"] / 1e6))
      rows.append(row(f"{family}: three images, pulled", flat["cold"], "s", peer, stacked["cold"]))
  return rows
