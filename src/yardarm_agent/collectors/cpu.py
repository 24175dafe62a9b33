"""Processor use in percent of all cores since the last sample, and the load average."""

from __future__ import annotations

from typing import Dict, Optional, Tuple


class Cpu:
    name = "cpu"

    def __init__(self, stat: str = "/proc/stat", load: str = "/proc/loadavg") -> None:
        self._stat = stat
        self._load = load
        self._before: Optional[Tuple[int, int]] = None

    def collect(self) -> Dict[str, float]:
        with open(self._load) as stream:
            values = {"cpu.load1": float(stream.read().split()[0])}
        busy, total = self._ticks()
        if self._before is not None and total > self._before[1]:
            share = (busy - self._before[0]) / (total - self._before[1])
            values["cpu.percent"] = round(100 * share, 2)
        self._before = (busy, total)
        return values

    def _ticks(self) -> Tuple[int, int]:
        """Busy and total ticks since boot: idle and iowait are not busy (proc(5))."""
        with open(self._stat) as stream:
            ticks = [int(word) for word in stream.readline().split()[1:9]]
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
