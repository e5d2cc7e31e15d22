# SPDX-License-Identifier: Apache-2.0
"""When to give up waiting: for a command, by the clock; for a boot, by the work it has done."""

from __future__ import annotations

import time
from typing import Protocol

from machine import Process

# A booting machine is busy. One that hardly ran for this long waits for what never comes.
IDLE_WINDOW = 90.0
IDLE_SHARE = 0.03
LOOK_EVERY = 5.0


class Deadline(Protocol):
  """Something that ends waiting."""

  def pause(self) -> float:
    """Seconds to wait before asking again."""

  def passed(self) -> str | None:
    """Why to give up, or nothing."""


class Wall:
  """So many seconds of the world's time."""

  def __init__(self, seconds: float) -> None:
    self._seconds = seconds
    self._end = time.monotonic() + seconds

  def pause(self) -> float:
    return max(self._end - time.monotonic(), 0.0)

  def passed(self) -> str | None:
    return f"no end within {self._seconds:g} s" if time.monotonic() >= self._end else None


class Boot:
  """So many seconds of the machine's own processor time, or a machine that stands still.

  On a busy computer a boot takes many times longer by the clock, but not by this measure.
  """

  def __init__(self, process: Process, seconds: float) -> None:
    self._process = process
    self._seconds = seconds
    self._since = (time.monotonic(), process.processor_time())

  def pause(self) -> float:
    return LOOK_EVERY

  def passed(self) -> str | None:
    used = self._process.processor_time()
    if used > self._seconds:
      return f"not up after {self._seconds:g} s of processor time"
    begin, before = self._since
    if time.monotonic() - begin < IDLE_WINDOW:
      return None
    self._since = (time.monotonic(), used)
    if used - before < IDLE_SHARE * IDLE_WINDOW:
      return f"not up, and idle for {IDLE_WINDOW:g} s"
    return None
