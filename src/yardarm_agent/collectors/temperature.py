"""Thermal zones in °C, by the name that the kernel gives each."""

from __future__ import annotations

import os
from typing import Dict, Sequence

from yardarm_agent.collectors.sensors import readings


class Temperature:
    name = "temperature"

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns

    def collect(self) -> Dict[str, float]:
        values: Dict[str, float] = {}
        for path, millidegrees in readings(self._patterns):
            name = "temperature.%s_c" % _zone(path)
            if name in values:  # zones may share a type
                name = "temperature.%s_%s_c" % (_zone(path), _folder(path))
            values[name] = millidegrees / 1000
        return values


def _zone(path: str) -> str:
    """The zone's type, which is what people know it by; else its folder's name."""
    try:
        with open(os.path.join(os.path.dirname(path), "type")) as stream:
            return stream.read().strip()
    except OSError:
        return _folder(path)


def _folder(path: str) -> str:
    return os.path.basename(os.path.dirname(path))
