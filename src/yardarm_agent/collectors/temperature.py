"""Thermal zones in °C, by the name that the kernel gives each."""

from __future__ import annotations

import glob
import os
from typing import Dict, Sequence


class Temperature:
    name = "temperature"

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns

    def collect(self) -> Dict[str, float]:
        found = sorted(path for pattern in self._patterns for path in glob.glob(pattern))
        return {"temperature.%s_c" % _zone(path): _millidegrees(path) / 1000 for path in found}


def _millidegrees(path: str) -> int:
    with open(path) as stream:
        return int(stream.read())


def _zone(path: str) -> str:
    """The zone's type, which is what people know it by; else its folder's name."""
    folder = os.path.dirname(path)
    try:
        with open(os.path.join(folder, "type")) as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return os.path.basename(folder)
