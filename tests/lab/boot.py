# SPDX-License-Identifier: Apache-2.0
"""Bringing a machine up in a folder: booting it, saving its state, starting from a saved state.

A saved state is lab/state-IMAGE-MODEL: `ram` (the machine's memory as a file, mapped
copy-on-write by every host started from it), `devices` (everything else QEMU keeps) and
`disk.qcow2` (what the boot wrote to the disk).
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import socket
import subprocess
import time

from deadline import Boot, Wall
from host_image import HostImage
from labpaths import LabError, cache, locked, say
from machine import Clock, Model, Monitor, Process
from remote import Remote

SAVE_DEADLINE = 180.0
SETTLE_DEADLINE = 180.0

# What "ready" means: systemd has nothing left to start, and xenstored answers.
READY = """
systemctl is-system-running --wait >/dev/null
timeout 30 xenstore-read /local/domain/0/domid >/dev/null ||
  { echo "xenstored does not answer"; exit 1; }
systemctl list-units --failed --no-legend --plain | cut -d' ' -f1
"""


@dataclasses.dataclass(frozen=True)
class Running:
  """A machine that is up: its QEMU and the port its ssh server is reached on."""

  process: Process
  port: int
  failed_units: tuple[str, ...] = ()


def boot(folder: pathlib.Path, image: HostImage, model: Model, seconds: float) -> Running:
  """Boots from the image's disk, with the machine's memory in `folder`/ram.

  A host that is not ready after `seconds` of processor time, or stands still, is ended, and the
  error carries its console.
  """
  _prepare(folder, image, image.disk, "raw")
  running = _start(folder, model, folder / "ram", "share=on", [])
  try:
    remote = Remote(folder, running.port, running.process)
    deadline = Boot(running.process, seconds)
    remote.await_banner(deadline)
    remote.connect(SETTLE_DEADLINE)
    failed = remote.output(["sh", "-c", READY], deadline).split()
  except BaseException:
    running.process.kill()
    raise
  return dataclasses.replace(running, failed_units=tuple(failed))


def saved(image: HostImage, model: Model, seconds: float) -> pathlib.Path:
  """The state a host of this image and model starts from; booted and saved if there is none."""
  folder = cache() / f"state-{image.key}-{model.key()}"
  if (folder / "done").exists():
    return folder
  with locked(folder.name):
    if not (folder / "done").exists():
      say("no saved state of this image yet: booting one (once)")
      _save(folder, image, model, seconds)
  (cache() / f"{folder.name}.lock").unlink(missing_ok=True)
  return folder


def restore(folder: pathlib.Path, image: HostImage, model: Model, state: pathlib.Path) -> Running:
  """Starts from a saved state; nothing the machine does changes that state."""
  _prepare(folder, image, state / "disk.qcow2", "qcow2")
  booted = (state / "console.log").read_text(errors="replace")
  (folder / "console.log").write_text(f"{booted}\n--- started from the state saved here ---\n")
  running = _start(folder, model, state / "ram", "share=off,readonly=on,rom=off",
                   ["-incoming", "defer"])
  try:
    with Monitor(folder, running.process) as monitor:
      _migration_settings(monitor)
      monitor.command("migrate-incoming", uri=f"file:{state / 'devices'}")
      monitor.finish_migration(SETTLE_DEADLINE)
      monitor.command("cont")
    remote = Remote(folder, running.port, running.process)
    remote.connect(SETTLE_DEADLINE)
    if model.clock is Clock.WALL:
      remote.output(["date", "--set", f"@{time.time():.3f}"], Wall(SETTLE_DEADLINE))
  except BaseException:
    running.process.kill()
    raise
  failed = (state / "failed-units").read_text().split()
  return dataclasses.replace(running, failed_units=tuple(failed))


def _save(folder: pathlib.Path, image: HostImage, model: Model, seconds: float) -> None:
  start = time.monotonic()
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir()
  running = boot(folder, image, model, seconds)
  booted = time.monotonic()
  try:
    Remote(folder, running.port, running.process).disconnect()
    with Monitor(folder, running.process) as monitor:
      monitor.command("stop")
      _migration_settings(monitor)
      monitor.command("migrate", uri=f"file:{folder / 'devices'}")
      monitor.finish_migration(SAVE_DEADLINE)
      monitor.command("quit")
    if not running.process.wait(SETTLE_DEADLINE):
      raise LabError("QEMU does not end after saving the machine's state")
  except BaseException:
    running.process.kill()
    raise
  subprocess.run(["fallocate", "--dig-holes", folder / "ram"], check=False)
  (folder / "failed-units").write_text("\n".join(running.failed_units))
  (folder / "done").touch()
  say(f"booted in {booted - start:.1f} s, saved in {time.monotonic() - booted:.1f} s")


def _migration_settings(monitor: Monitor) -> None:
  # Memory shared with a file is in that file; what loads it maps the same file.
  wanted = ("events", "x-ignore-shared")
  monitor.command("migrate-set-capabilities",
                  capabilities=[{"capability": name, "state": True} for name in wanted])


def _prepare(folder: pathlib.Path, image: HostImage, disk: pathlib.Path, form: str) -> None:
  folder.mkdir(parents=True, exist_ok=True)
  for old in folder.iterdir():
    old.unlink()
  (folder / "base").symlink_to(image.base)
  subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", form, "-b", disk,
                  folder / "disk.qcow2"], check=True)


def _start(folder: pathlib.Path, model: Model, ram: pathlib.Path, sharing: str,
           more: list[str]) -> Running:
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
  process = Process.start(folder, [*model.arguments(ram, sharing, port), *more])
  # Answering on its control socket, QEMU has taken its whole command line, the port too.
  Monitor(folder, process).close()
  return Running(process, port)
