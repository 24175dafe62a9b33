"""Observe this machine for `yardarm doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from yardarm import doctor, paths
from yardarm.doctor import Check, Machine

BINFMT = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")


def examine(root: Path) -> list[Check]:
    """What is there and what is missing, for a project in `root`."""
    return doctor.checks(observe(root))


def observe(root: Path) -> Machine:
    """Reads only: nothing is installed, created or started."""
    wanted = (*doctor.IMAGE_TOOLS, *doctor.LAB_TOOLS, "qemu-aarch64-static")
    return Machine(
        python=sys.version_info[:3],
        system=platform.system(),
        tools=frozenset(name for name in wanted if shutil.which(name)),
        uv=_uv(),
        binfmt=BINFMT.read_text(encoding="utf-8") if BINFMT.is_file() else "",
        root=os.geteuid() == 0,
        free_mb={"cache": _free_mb(paths.cache()), "store": _free_mb(paths.store(root))},
    )


def _uv() -> str:
    try:
        import uv

        return uv.find_uv_bin()
    except (ImportError, FileNotFoundError):
        return ""


def _free_mb(folder: Path) -> int:
    """Room where a folder is, or where it will be made."""
    there = next(part for part in (folder.absolute(), *folder.absolute().parents) if part.exists())
    return shutil.disk_usage(there).free // 10**6
