# SPDX-License-Identifier: Apache-2.0
"""One emulated machine: its QEMU command line, its process, and QEMU's control socket."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

from labpaths import LabError, digest

QUIT_DEADLINE = 10.0
QMP_DEADLINE = 30.0
PRIORITY = -5

# Without eager-fpu, which is off by default on the emulated processor, vector registers are lost
# when the processor goes from one domain to another, and programs crash or loop at random.
XEN = ("console=com1 com1=115200,8n1 dom0_mem=1024M,max:1024M bootscrub=0"
       " spec-ctrl=no,eager-fpu=yes xpti=no watchdog=0 loglvl=warning guest_loglvl=warning")
DOM0 = ("console=hvc0 panic=1 mitigations=off net.ifnames=0 nowatchdog audit=0 loglevel=5"
        " rcupdate.rcu_cpu_stall_suppress=1 systemd.show_status=error systemd.log_color=no")


class Clock(enum.Enum):
  """What time is on the machine: the world's, or the number of executed instructions."""

  WALL = "wall"
  INSTRUCTION = "instruction"

  @property
  def arguments(self) -> list[str]:
    if self is Clock.WALL:
      return ["-accel", "tcg,thread=multi,tb-size=1024", "-smp", "2"]
    return ["-accel", "tcg,thread=single,tb-size=1024", "-icount", "shift=0,sleep=off",
            "-smp", "1"]

  @property
  def boot_budget(self) -> float:
    """Seconds of processor time within which a host is up, or never will be."""
    return 300.0 if self is Clock.WALL else 600.0


@dataclasses.dataclass(frozen=True)
class Model:
  """What a saved state depends on, besides the disk."""

  clock: Clock
  memory: int  # MiB

  def key(self) -> str:
    version = subprocess.run(["qemu-system-x86_64", "--version"], check=True,
                             capture_output=True, text=True).stdout
    return digest(version, *self._arguments())

  def arguments(self, ram: pathlib.Path, sharing: str, port: int) -> list[str]:
    """The whole command line. The working directory holds `base` and `disk.qcow2`.

    Memory is the file `ram`; `sharing` says whether what the machine writes goes there. Sockets
    and files are named relative to the working directory, so no path length or character in it
    matters to QEMU.
    """
    return [
        "qemu-system-x86_64", *self._arguments(),
        "-object", f"memory-backend-file,id=ram,size={self.memory}M,{sharing},"
        f"mem-path={str(ram).replace(',', ',,')}",
        "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
    ]

  def _arguments(self) -> list[str]:
    return [
        # A PVH guest of Linux 6.12 hangs at boot when the emulated CPU has rdtscp; QEMU 10 itself
        # ends ("Bad icount read") when x2apic is used on the instruction clock.
        "-machine", "q35,memory-backend=ram", "-cpu", "max,-rdtscp,-x2apic",
        "-m", str(self.memory),
        *self.clock.arguments,
        "-nodefaults", "-display", "none", "-no-reboot",
        "-chardev", "file,id=console,path=console.log,append=on", "-serial", "chardev:console",
        "-qmp", "unix:qmp.sock,server=on,wait=off",
        "-drive", "file=disk.qcow2,if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap",
        "-device", "virtio-blk-pci,drive=disk",
        "-device", "virtio-net-pci,netdev=net,romfile=",
        "-kernel", "base/xen", "-append", XEN,
        "-initrd", f"base/vmlinuz {DOM0},base/initramfs",
    ]


@dataclasses.dataclass(frozen=True)
class Process:
  """A QEMU that outlives the command that started it."""

  pid: int
  started: str  # the kernel's start time, so that a reused pid is not taken for it

  @staticmethod
  def start(folder: pathlib.Path, arguments: list[str]) -> Process:
    with (folder / "qemu.log").open("wb") as log:
      child = subprocess.Popen(arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                               stderr=log, start_new_session=True)
    # Its processors spin on each other: starved by a compiler beside it, it wastes what it gets.
    with contextlib.suppress(PermissionError, ProcessLookupError):
      os.setpriority(os.PRIO_PROCESS, child.pid, PRIORITY)
    return Process(child.pid, _start_time(child.pid) or "")

  def alive(self) -> bool:
    return bool(self.started) and _start_time(self.pid) == self.started

  def processor_time(self) -> float:
    """Seconds all its threads have run; 0 when it has ended."""
    fields = _stat(self.pid) if self.alive() else None
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") if fields else 0.0

  @contextlib.contextmanager
  def watched(self) -> Iterator[int | None]:
    """A descriptor that becomes readable when the process ends; none if it has ended."""
    try:
      watch = os.pidfd_open(self.pid)
    except ProcessLookupError:
      yield None
      return
    try:
      yield watch if self.alive() else None
    finally:
      os.close(watch)

  def wait(self, seconds: float) -> bool:
    """Whether the process ended within that time."""
    with self.watched() as watch:
      return watch is None or bool(select.select([watch], [], [], seconds)[0])

  def kill(self) -> None:
    with contextlib.suppress(ProcessLookupError):
      if self.alive():
        os.kill(self.pid, signal.SIGKILL)
    self.wait(QUIT_DEADLINE)
    with contextlib.suppress(ChildProcessError):
      os.waitpid(self.pid, os.WNOHANG)


def _stat(pid: int) -> list[str] | None:
  """The fields of the process from its state on (the third in proc(5)'s count)."""
  try:
    # The command name before them may hold anything, parentheses too.
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
  except (FileNotFoundError, ProcessLookupError):
    return None


def _start_time(pid: int) -> str | None:
  fields = _stat(pid)
  return None if fields is None or fields[0] == "Z" else fields[19]


class Monitor:
  """QEMU's control socket (QMP)."""

  def __init__(self, folder: pathlib.Path, process: Process) -> None:
    deadline = time.monotonic() + QMP_DEADLINE
    self._socket = socket.socket(socket.AF_UNIX)
    directory = os.open(folder, os.O_PATH)
    try:
      # QEMU says nothing when the socket is there; it is within milliseconds.
      while True:
        try:
          self._socket.connect(f"/proc/self/fd/{directory}/qmp.sock")
          break
        except (FileNotFoundError, ConnectionRefusedError) as error:
          if process.wait(0.02) or time.monotonic() > deadline:
            log = (folder / "qemu.log").read_text(errors="replace").strip()
            raise LabError(f"QEMU does not start: {log}", 125) from error
    finally:
      os.close(directory)
    self._socket.settimeout(QMP_DEADLINE)
    self._stream = self._socket.makefile("rwb")
    self._read()
    self.command("qmp_capabilities")

  def close(self) -> None:
    self._stream.close()
    self._socket.close()

  def __enter__(self) -> Monitor:
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def command(self, name: str, **arguments: object) -> dict[str, object]:
    request = {"execute": name, "arguments": arguments}
    self._stream.write(json.dumps(request).encode() + b"\n")
    self._stream.flush()
    while True:
      answer = self._read()
      if "error" in answer:
        raise LabError(f"QEMU refuses {name}: {answer['error']}")
      if "return" in answer:
        result = answer["return"]
        return result if isinstance(result, dict) else {}

  def finish_migration(self, seconds: float) -> None:
    """Waits for the end of a saving or loading that was begun; events must be on."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
      answer = self._read()
      if answer.get("event") != "MIGRATION":
        continue
      data = answer["data"]
      status = data.get("status") if isinstance(data, dict) else None
      if status == "completed":
        return
      if status in ("failed", "cancelled"):
        why = self.command("query-migrate").get("error-desc", "no reason given")
        raise LabError(f"QEMU could not save or load the machine's state: {why}")
    raise LabError("QEMU does not finish saving or loading the machine's state")

  def _read(self) -> dict[str, object]:
    try:
      line = self._stream.readline()
    except TimeoutError as error:
      raise LabError("QEMU does not answer on its control socket", 125) from error
    if not line:
      raise LabError("QEMU closed its control socket", 125)
    answer = json.loads(line)
    assert isinstance(answer, dict)
    return answer
