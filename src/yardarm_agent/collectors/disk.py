"""Free space in MB (10^6 bytes) and inodes where Yardarm's files are."""

from __future__ import annotations

import os
from typing import Dict


class Disk:
    name = "disk"

    def __init__(self, path: str) -> None:
        self._path = path

    def collect(self) -> Dict[str, float]:
        state = os.statvfs(self._path)
        return {
            "disk.free_mb": round(state.f_bavail * state.f_frsize / 1e6, 1),
            "disk.free_inodes": float(state.f_favail),
        }
