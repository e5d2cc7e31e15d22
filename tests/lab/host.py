# SPDX-License-Identifier: Apache-2.0
"""Named lab hosts: starting, finding and ending them. A host's folder is lab/run/NAME."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import pathlib
import re
import shutil
import time

import boot
from host_image import HostImage
from labpaths import LabError, cache, locked, say
from machine import Model, Monitor, Process
from remote import Remote


class Start(enum.Enum):
  """From the state saved after a boot, which is made first if there is none, or by a boot."""

  SAVED = enum.auto()
  FRESH = enum.auto()


@dataclasses.dataclass(frozen=True)
class Record:
  """What is written down about a running host."""

  pid: int
  started: str
  port: int
  image: str
  clock: str
  memory: int

  @property
  def process(self) -> Process:
    return Process(self.pid, self.started)


class Host:
  """One named host, running or not."""

  def __init__(self, name: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
      raise LabError(f"'{name}' is no name for a lab: small letters, digits and '-'")
    self.name = name
    self.folder = cache() / "run" / name

  @property
  def console(self) -> pathlib.Path:
    return self.folder / "console.log"

  def record(self) -> Record | None:
    try:
      return Record(**json.loads((self.folder / "host.json").read_text()))
    except FileNotFoundError:
      return None

  def running(self) -> Record | None:
    record = self.record()
    return record if record and record.process.alive() else None

  def remote(self) -> Remote:
    """The way in. A host that is not running is an error, with its last words if it has any."""
    record = self.record()
    if not record:
      raise LabError(f"no lab host '{self.name}' is up; start it with: ./dev lab up", 125)
    if not record.process.alive():
      raise LabError(f"the lab host '{self.name}' has died", 125, self.console)
    return Remote(self.folder, record.port, record.process)

  def up(self, image: HostImage, model: Model, start: Start, seconds: float) -> None:
    """Starts the host; afterwards commands can run on it.

    `seconds` of processor time are a boot's limit. A host that is up already is left as it is.
    """
    image.touch()
    with locked(f"run-{self.name}"):
      record = self.running()
      if record:
        self._require_same(record, image, model)
        say(f"'{self.name}' is up already")
        return
      state = boot.saved(image, model, seconds) if start is Start.SAVED else None
      begin = time.monotonic()
      if state:
        running = boot.restore(self.folder, image, model, state)
      else:
        running = boot.boot(self.folder, image, model, seconds)
      record = Record(running.process.pid, running.process.started, running.port, image.key,
                      model.clock.value, model.memory)
      (self.folder / "host.json").write_text(json.dumps(dataclasses.asdict(record)))
    if running.failed_units:
      say(f"units that failed when it booted: {' '.join(running.failed_units)}")
    how = "from its saved state" if state else "booted"
    say(f"'{self.name}' is up, {how}, in {time.monotonic() - begin:.1f} s")

  def down(self) -> None:
    """Ends the host, however it is; nothing of it is kept."""
    record = self.running()
    if record:
      process = record.process
      # It may hang, or end meanwhile: the lines after settle it.
      with contextlib.suppress(LabError, OSError), Monitor(self.folder, process) as monitor:
        monitor.command("quit")
      if not process.wait(10):
        process.kill()
    shutil.rmtree(self.folder, ignore_errors=True)
    (cache() / f"run-{self.name}.lock").unlink(missing_ok=True)

  def _require_same(self, record: Record, image: HostImage, model: Model) -> None:
    wanted = (image.key, model.clock.value, model.memory)
    if (record.image, record.clock, record.memory) != wanted:
      raise LabError(f"the lab host '{self.name}' is up with another image, clock or memory; "
                     f"end it first: ./dev lab down --name {self.name}")


def every() -> list[Host]:
  folder = cache() / "run"
  return [Host(path.name) for path in sorted(folder.iterdir())] if folder.exists() else []


def images_in_use() -> set[str]:
  records = [host.running() for host in every()]
  return {f"image-{record.image}" for record in records if record}
