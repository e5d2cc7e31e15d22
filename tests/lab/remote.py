# SPDX-License-Identifier: Apache-2.0
"""Commands and files on the lab's host, over one shared ssh connection."""

from __future__ import annotations

import contextlib
import os
import pathlib
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile

from deadline import Deadline, Wall
from labpaths import LabError
from machine import Process

TIMED_OUT = 124
LOST = 125


class Remote:
  """The way into one machine, whose folder holds `base`, `ssh.sock` and `console.log`."""

  def __init__(self, folder: pathlib.Path, port: int, process: Process) -> None:
    self._folder = folder
    self._port = port
    self._process = process

  def await_banner(self, deadline: Deadline) -> None:
    """Returns when the host's ssh server speaks."""
    while True:
      why = deadline.passed()
      if why:
        raise self._lost(f"the host is {why}", TIMED_OUT)
      # QEMU itself accepts the connection, long before the host does: only data tells.
      with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port),
                                                                  5) as client:
        client.settimeout(5)
        if client.recv(4) == b"SSH-":
          return
      if self._process.wait(0.5):
        raise self._lost("QEMU ended before the host was up")

  def connect(self, seconds: float) -> None:
    """Opens the shared connection, which stays until the machine ends or `disconnect`."""
    # Its outputs go to a file: an inherited pipe would keep whoever reads ours waiting for ever.
    with (self._folder / "ssh.log").open("wb") as log:
      try:
        done = subprocess.run(
            [*self._command("ssh"), "-M", "-N", "-f", "lab"], cwd=self._folder,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=seconds, check=False,
            start_new_session=True)
      except subprocess.TimeoutExpired as error:
        raise self._lost("the host's ssh server does not answer", TIMED_OUT) from error
    if done.returncode:
      text = (self._folder / "ssh.log").read_text(errors="replace").strip()
      raise self._lost(f"no way into the host: {text}")

  def disconnect(self) -> None:
    subprocess.run([*self._command("ssh"), "-O", "exit", "lab"], cwd=self._folder, check=False,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)

  def run(self, command: list[str], seconds: float, terminal: bool = False) -> int:
    """Runs a command with our own standard streams; its exit code."""
    options = ["-tt"] if terminal else []
    child = subprocess.Popen(
        [*self._command("ssh"), *options, "lab", "--", shlex.join(command)], cwd=self._folder)
    return self._await(child, Wall(seconds), command[0])

  def output(self, command: list[str], deadline: Deadline) -> str:
    """What a command prints; an error if it fails."""
    with tempfile.TemporaryFile("w+") as out:
      child = subprocess.Popen(
          [*self._command("ssh"), "lab", "--", shlex.join(command)], cwd=self._folder,
          stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
      code = self._await(child, deadline, command[0])
      out.seek(0)
      text = out.read()
    if code:
      raise LabError(f"{shlex.join(command)} on the host failed: {text.strip()}", code)
    return text

  def copy(self, sources: list[str], target: str, seconds: float) -> int:
    """Copies files and folders; those on the host begin with "lab:"."""
    here = pathlib.Path.cwd()

    def local(path: str) -> str:
      # scp takes what is before a colon for a machine's name, unless a slash comes first.
      return path if path.startswith("lab:") else str(here / path.removeprefix("host:"))

    child = subprocess.Popen(
        [*self._command("scp"), "-q", "-r", "-p", *map(local, sources), local(target)],
        cwd=self._folder, stdin=subprocess.DEVNULL)
    return self._await(child, Wall(seconds), "scp")

  def _command(self, program: str) -> list[str]:
    port = "-p" if program == "ssh" else "-P"
    # The cipher that costs least under emulation.
    options = ["BatchMode=yes", "Ciphers=aes128-gcm@openssh.com", "ConnectTimeout=180",
               "ControlPath=ssh.sock", "HostName=127.0.0.1",
               "IdentitiesOnly=yes", "IdentityFile=base/id_ed25519", "LogLevel=ERROR",
               "StrictHostKeyChecking=no", "TCPKeepAlive=no", "User=root",
               "UserKnownHostsFile=/dev/null"]
    return [program, "-F", "none", port, str(self._port),
            *[word for option in options for word in ("-o", option)]]

  def _await(self, child: subprocess.Popen[bytes], deadline: Deadline, what: str) -> int:
    """The child's exit code; the machine's end and the deadline are errors with its console."""
    ended = os.pidfd_open(child.pid)
    try:
      with self._process.watched() as machine:
        while machine is not None:
          ready, _, _ = select.select([ended, machine], [], [], deadline.pause())
          if ended in ready:
            return self._exit_code(child)
          if ready:
            break
          why = deadline.passed()
          if why:
            self._stop(child)
            raise self._lost(f"{what}: {why}", TIMED_OUT)
        self._stop(child)
        raise self._lost(f"the host ended while {what} ran")
    except KeyboardInterrupt:
      self._stop(child)
      raise
    finally:
      os.close(ended)

  def _exit_code(self, child: subprocess.Popen[bytes]) -> int:
    code = child.wait()
    # 255 is also ssh's own failure: of a connection cut because QEMU just ended, say so.
    if code == 255 and self._process.wait(1.0):
      raise self._lost("the host ended")
    if code == 255:
      print("lab: exit code 255: the command's own, or ssh lost the host", file=sys.stderr)
    return code

  @staticmethod
  def _stop(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    try:
      child.wait(5)
    except subprocess.TimeoutExpired:
      child.kill()
      child.wait()

  def _lost(self, message: str, code: int = LOST) -> LabError:
    return LabError(message, code, self._folder / "console.log")
