# SPDX-License-Identifier: Apache-2.0
"""The lab host's base: a Debian 13 tree with Xen, the files QEMU boots, and the way in.

Made once and kept under lab/base-KEY:
  root/        the tree; image layers are put over it
  xen          the hypervisor, unpacked (QEMU's multiboot wants an ELF)
  vmlinuz      dom0's kernel
  initramfs    busybox and the modules that find the root disk
  id_ed25519   the key the host lets in
"""

from __future__ import annotations

import gzip
import os
import pathlib
import shutil
import subprocess

import labpaths
from labpaths import HERE, KERNEL_TOOLS, LabError, cache, digest, locked, say, timed

import newc
from kernel_modules import ModuleTree, read_module

# Loaded by the initramfs, where they need not be unpacked first; what they need comes along.
# crc32c is found by name at run time, so nothing in the modules' tables says that ext4 wants it.
MODULES = [
    "virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "ext4",
    "xenfs", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xen-blkback",
    "xen-netback", "loop", "squashfs", "tun", "nf_conntrack", "nf_nat", "nf_tables",
]
# Zone images are loop devices behind blkback.
MODULE_OPTIONS = {"loop": "max_loop=32"}

# Left out of the tree: nothing in the lab reads them, and each file costs time in every image.
LEFT_OUT = [
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/share/lintian/*",
    "/usr/share/bug/*",
    # The initramfs is ours, made from outside; Debian's would take a minute.
    "/etc/kernel/postinst.d/initramfs-tools",
    *[f"/usr/lib/modules/*/kernel/{part}/*" for part in (
        # Self-tests of each accelerated cipher cost seconds under emulation.
        "arch/x86/crypto", "sound", "net/vmw_vsock", "net/wireless",
        *[f"drivers/{kind}" for kind in (
            "ata", "bluetooth", "gpu", "hid", "i2c", "iio", "infiniband", "input", "media",
            "misc", "mmc", "net/ethernet", "net/wireless", "nvme", "pcmcia", "platform", "scsi",
            "staging", "thunderbolt", "usb", "video", "watchdog")],
    )],
]

INIT = """#!/bin/busybox sh
# The lab's first root: load what reaches the disk and the network, then start systemd. The
# addresses are those of QEMU's user network; setting them here spares a daemon on the host.
/bin/busybox mount -t devtmpfs none /dev
@insmod@
/bin/busybox mount -t ext4 -o noatime /dev/vda /root || {
  echo "lab: no root file system on /dev/vda"
  exec /bin/busybox poweroff -f
}
/bin/busybox ifconfig lo 127.0.0.1
/bin/busybox ifconfig eth0 10.0.2.15 netmask 255.255.255.0
/bin/busybox umount /dev
exec /bin/busybox switch_root /root /sbin/init
"""


def key() -> str:
  return digest(HERE / "host.packages", HERE / "host.masked", HERE / "host-files",
                pathlib.Path(__file__), KERNEL_TOOLS / "newc.py",
                KERNEL_TOOLS / "kernel_modules.py")


def ensure() -> pathlib.Path:
  """The base's folder, made if need be (about two minutes)."""
  folder = cache() / f"base-{key()}"
  if (folder / "done").exists():
    return folder
  with locked("base"):
    if not (folder / "done").exists():
      say("the host's base image: Debian 13 with Xen (once; about two minutes)")
      with timed("base image"):
        _make(folder)
  return folder


def _make(folder: pathlib.Path) -> None:
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir()
  root = folder / "root"
  _bootstrap(root, folder / "bootstrap.log")
  _settle(root)
  _access(root, folder)
  _boot_files(root, folder)
  (folder / "done").touch()


def _packages() -> list[str]:
  lines = (HERE / "host.packages").read_text().splitlines()
  return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def sources() -> list[str]:
  """Where packages come from: the mirrors named in the environment, or this root's own."""
  main = os.environ.get("BULKHEAD_MIRROR_MAIN")
  security = os.environ.get("BULKHEAD_MIRROR_SECURITY")
  if main:
    lines = [f"deb {main} trixie main", f"deb {main} trixie-updates main",
             f"deb [check-valid-until=no] {main} forky main"]
    return lines + ([f"deb {security} trixie-security main"] if security else [])
  etc = pathlib.Path("/etc/apt")
  files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
  return [str(file) for file in files
          if file.suffix in (".list", ".sources") and file.stat().st_size > 0]


def _bootstrap(root: pathlib.Path, log: pathlib.Path) -> None:
  pins = pathlib.Path("/etc/apt/preferences.d/capnproto")
  command = [
      "mmdebstrap", "--mode=root", "--variant=minbase",
      "--aptopt=Apt::Install-Recommends \"false\"",
      f"--include={','.join(_packages())}",
      *[f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT],
  ]
  if pins.exists():
    command += [
        '--setup-hook=mkdir -p "$1/etc/apt/preferences.d"',
        f'--setup-hook=cp {pins} "$1/etc/apt/preferences.d/"',
    ]
  command += ["trixie", str(root), *sources()]
  with log.open("wb") as out:
    if subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False).returncode:
      raise LabError(f"the host's base image could not be made:\n{labpaths.tail(log, 20)}")


def _settle(root: pathlib.Path) -> None:
  """Puts our files in, and stops what only burns time."""
  shutil.copytree(HERE / "host-files", root, dirs_exist_ok=True)
  units = root / "etc/systemd/system"
  for unit in (HERE / "host.masked").read_text().splitlines():
    if unit and not unit.startswith("#"):
      mask = units / unit
      mask.unlink(missing_ok=True)
      mask.symlink_to("/dev/null")
  (root / "etc/hostname").write_text("lab\n")
  (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 lab\n::1 localhost\n")
  # The initramfs has mounted the root as it stays; an entry would make systemd wait for udev.
  (root / "etc/fstab").write_text("")
  (root / "etc/machine-id").write_text("6c61620000000000000000000000001a\n")
  (root / "etc/apt/sources.list").write_text("")
  for folder in ("var/lib/docker-registry", "var/log/xen"):
    (root / folder).mkdir(parents=True, exist_ok=True)
  # A host without a policy for chroots would start services while packages are laid over it.
  policy = root / "usr/sbin/policy-rc.d"
  policy.write_text("#!/bin/sh\nexit 101\n")
  policy.chmod(0o755)
  for unit in ("ssh.service", "docker-registry.service"):
    _chroot(root, "systemctl", "enable", unit)


def _access(root: pathlib.Path, folder: pathlib.Path) -> None:
  """A key pair for the tests' way in, and one host key instead of three."""
  identity = folder / "id_ed25519"
  subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", identity],
                 check=True)
  home = root / "root/.ssh"
  home.mkdir(mode=0o700, exist_ok=True)
  shutil.copy(identity.with_suffix(".pub"), home / "authorized_keys")
  for host_key in (root / "etc/ssh").glob("ssh_host_*"):
    host_key.unlink()
  subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab host",
                  "-f", root / "etc/ssh/ssh_host_ed25519_key"], check=True)


def _chroot(root: pathlib.Path, *command: str) -> None:
  done = subprocess.run(["chroot", root, *command], capture_output=True, text=True, check=False)
  if done.returncode:
    raise LabError(f"{' '.join(command)} in the host's tree failed: {done.stderr.strip()}")


def _boot_files(root: pathlib.Path, folder: pathlib.Path) -> None:
  (hypervisor,) = [f for f in (root / "boot").glob("xen-*.gz") if not f.is_symlink()]
  (folder / "xen").write_bytes(gzip.decompress(hypervisor.read_bytes()))
  (kernel,) = (root / "boot").glob("vmlinuz-*")
  shutil.copy(kernel, folder / "vmlinuz")
  version = kernel.name.removeprefix("vmlinuz-")
  modules = ModuleTree(root / "usr/lib/modules" / version)
  archive = newc.Archive()
  for name in ("dev", "root"):
    archive.directory(name)
  archive.file("bin/busybox", (root / "usr/bin/busybox").read_bytes(), 0o755)
  load = []
  for name in modules.load_order(MODULES):
    archive.file(f"modules/{name}.ko", read_module(modules.path(name)))
    load.append(f"/bin/busybox insmod /modules/{name}.ko {MODULE_OPTIONS.get(name, '')}".strip())
  archive.file("init", INIT.replace("@insmod@", "\n".join(load)).encode(), 0o755)
  (folder / "initramfs").write_bytes(archive.finish())
