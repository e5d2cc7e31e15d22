# SPDX-License-Identifier: Apache-2.0
"""Where a zone's kernel comes from: built by the recipe here, or one that Debian built."""

from __future__ import annotations

import dataclasses
import gzip
import lzma
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = "linux-source-6.12"
DEBIAN = {"debian-cloud": "linux-image-cloud-amd64", "debian-generic": "linux-image-amd64"}

# What the recipe's kernel says of its build: the same everywhere, so that its bytes are.
IDENTITY = {"KBUILD_BUILD_TIMESTAMP": "2025-01-01", "KBUILD_BUILD_USER": "bulkhead",
            "KBUILD_BUILD_HOST": "bulkhead"}


@dataclasses.dataclass
class Kernel:
  """A kernel before it is packed: its ELF file, and the folder lib/modules/`version`."""

  version: str
  elf: bytes
  modules: pathlib.Path
  config: bytes
  licence: bytes


def build(work: pathlib.Path, cache: pathlib.Path) -> Kernel:
  """Debian's source of Linux 6.12 with patches/ and zone.config, built by gcc."""
  _download(SOURCE, work)
  (archive,) = (work / "package/usr/src").glob("*.tar.xz")
  subprocess.run(["tar", "-xf", archive, "-C", work], check=True)
  tree = work / archive.name.removesuffix(".tar.xz")
  for patch in sorted((HERE / "patches").glob("*.patch")):
    subprocess.run(["patch", "-d", tree, "-p1", "-s", "-i", patch], check=True)
  (tree / "certs/signing_key.pem").write_bytes(_signing_key(cache))
  make = ["make", "-C", tree, f"-j{os.cpu_count()}"]
  # Debian's warnings are not ours to read, and looking for them is a fourteenth of the build.
  environment = os.environ | IDENTITY | {"KCFLAGS": "-w"}
  subprocess.run([*make, f"KCONFIG_ALLCONFIG={HERE / 'zone.config'}", "allnoconfig"], check=True,
                 env=environment, stdout=subprocess.DEVNULL)
  require_config(HERE / "zone.config", tree / ".config")
  _show(subprocess.Popen([*make, "vmlinux", "modules"], env=environment, text=True,
                         stdout=subprocess.PIPE))
  installed = work / "installed"
  subprocess.run([*make, f"INSTALL_MOD_PATH={installed}", "INSTALL_MOD_STRIP=1", "modules_install"],
                 check=True, env=environment, stdout=subprocess.DEVNULL)
  (modules,) = (installed / "lib/modules").iterdir()
  return Kernel(modules.name, (tree / "vmlinux").read_bytes(), modules,
                (tree / ".config").read_bytes(), (tree / "COPYING").read_bytes())


def _show(make: subprocess.Popen[str]) -> None:
  """Says from time to time how far a build is."""
  assert make.stdout is not None
  began = said = time.monotonic()
  files = 0
  for _ in make.stdout:
    files += 1
    now = time.monotonic()
    if now - said >= 15:
      said = now
      print(f"zone kernel: {files} files built in {now - began:.0f} s", file=sys.stderr, flush=True)
  if make.wait():
    sys.exit("make-kernel-image: the kernel could not be built; see above")


def require_config(fragment: pathlib.Path, result: pathlib.Path) -> None:
  """Kconfig drops a line whose conditions are not met without a word; here that is an error."""
  has = dict(line.split("=", 1) for line in result.read_text().splitlines()
             if line.startswith("CONFIG_"))
  lost = []
  for line in fragment.read_text().splitlines():
    if line.startswith("CONFIG_"):
      name, value = line.split("=", 1)
      if has.get(name, "n") != value:
        lost.append(f"{line} (it is {has.get(name, 'n')})")
  if lost:
    sys.exit("make-kernel-image: zone.config asks for what this kernel does not give:\n  "
             + "\n  ".join(lost))


def _signing_key(cache: pathlib.Path) -> bytes:
  """The key that signs the modules. Kept, so that the same recipe gives the same bytes again."""
  path = cache / "zone-kernel-signing-key.pem"
  if not path.exists():
    new = path.with_suffix(f".{os.getpid()}")
    with open(new, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
      file.write(subprocess.run(
          ["openssl", "req", "-new", "-nodes", "-utf8", "-sha512", "-days", "36500", "-batch",
           "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1", "-subj",
           "/CN=zone kernel modules", "-addext", "keyUsage=digitalSignature", "-outform", "PEM",
           "-keyout", "-", "-out", "-"],
          check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    os.link(new, path)
    new.unlink()
  return path.read_bytes()


def debian(flavor: str, work: pathlib.Path) -> Kernel:
  """A kernel as Debian built it."""
  _download(_newest(DEBIAN[flavor]), work)
  package = work / "package"
  (kernel,) = (package / "boot").glob("vmlinuz-*")
  version = kernel.name.removeprefix("vmlinuz-")
  modules = package / "usr/lib/modules" / version
  if not (modules / "modules.dep").exists():
    (package / "lib").symlink_to("usr/lib")
    subprocess.run(["depmod", "-b", package, version], check=True)
  (licence,) = package.glob("usr/share/doc/*/copyright")
  return Kernel(version, vmlinux(kernel.read_bytes()), modules,
                (package / f"boot/config-{version}").read_bytes(), licence.read_bytes())


def _newest(package: str) -> str:
  """The package of the newest version, which the one without a version depends on."""
  for attempt in ("cached", "updated"):
    if attempt == "updated":
      update()
    shown = subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True,
                           check=False).stdout
    for line in shown.splitlines():
      if "Depends: linux-image-" in line:
        return line.split()[-1]
  sys.exit(f"make-kernel-image: no {package} on the package mirror")


def _download(package: str, work: pathlib.Path) -> None:
  """The files of a package, in `work`/package."""
  apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package]
  if subprocess.run(apt, cwd=work, check=False, stderr=subprocess.DEVNULL).returncode:
    update()  # The lists are not there yet, or name a version that the mirror has replaced.
    subprocess.run(apt, cwd=work, check=True)
  (archive,) = work.glob("*.deb")
  subprocess.run(["dpkg-deb", "-x", archive, work / "package"], check=True)
  shutil.move(archive, work / "package.deb")


def update() -> None:
  subprocess.run(["apt-get", "-qq", "update"], check=True)


def vmlinux(bz_image: bytes) -> bytes:
  """The ELF file inside a bzImage (Documentation/arch/x86/boot.rst, payload_offset)."""
  if bz_image[0x202:0x206] != b"HdrS":
    raise ValueError("no bzImage")
  sectors = bz_image[0x1F1] or 4
  offset, length = struct.unpack_from("<II", bz_image, 0x248)
  start = (sectors + 1) * 512 + offset
  # The last four bytes are the size of what comes out, not part of the compressed stream.
  payload = bz_image[start:start + length - 4]
  if payload.startswith(b"\x28\xb5\x2f\xfd"):
    return subprocess.run(["zstd", "-dcq"], input=payload, stdout=subprocess.PIPE,
                          check=True).stdout
  if payload.startswith(b"\xfd7zXZ"):
    return lzma.decompress(payload)
  if payload.startswith(b"\x1f\x8b"):
    return gzip.decompress(payload)
  raise ValueError("a compression this tool does not know")
