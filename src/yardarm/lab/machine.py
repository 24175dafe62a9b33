"""What this machine must have for lab devices."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from yardarm import process
from yardarm.errors import Unsupported, UsageError

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_PROGRAMS = {"ip": "iproute2", "ssh-keygen": "openssh-client", "unshare": "util-linux"}
_NO_UPPER = {"overlay", "nfs", "nfs4", "cifs", "9p", "fuse", "vfat"}


def check_root() -> None:
    """Raises UsageError unless root, Unsupported on other systems than Linux."""
    if sys.platform != "linux":
        raise Unsupported("lab devices need Linux", where=platform.system())
    if os.geteuid() != 0:
        raise UsageError("lab devices need root: they mount and make networks", hint="use sudo")


def check() -> None:
    """Raises Unsupported where something is missing; registers qemu-user if need be."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            raise Unsupported(f"{program} is not installed", hint=f"apt-get install {package}")
    if platform.machine() != "aarch64":
        _register()


def check_filesystem(folder: Path) -> None:
    """Raises UsageError where the kernel can't keep the upper side of an overlay."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = process.run(["findmnt", "-n", "-o", "FSTYPE", "-T", str(folder)]).text.strip()
    if kind.split(".")[0] in _NO_UPPER:
        raise UsageError(
            f"a lab can't live on {kind}",
            where=str(folder),
            hint="set YARDARM_LAB to a folder on ext4, xfs, btrfs or tmpfs",
        )


def _register() -> None:
    """Let the kernel run arm64 programs through qemu, with a handler that chroots can use."""
    if not (_BINFMT / "status").exists():
        process.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)], check=False)
    if not _registered() and shutil.which("update-binfmts"):
        process.run(["update-binfmts", "--enable", "qemu-aarch64"], check=False)
    if not _registered():
        raise Unsupported(
            "this kernel can't run arm64 programs",
            where=str(_BINFMT / "qemu-aarch64"),
            hint="apt-get install qemu-user-static binfmt-support; `yardarm doctor` checks it",
        )


def _registered() -> bool:
    try:
        shown = (_BINFMT / "qemu-aarch64").read_text().split()
    except OSError:
        return False
    return shown[0] == "enabled" and "F" in shown[shown.index("flags:") + 1]
