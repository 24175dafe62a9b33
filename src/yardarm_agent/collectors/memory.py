"""Memory in MB (10^6 bytes)."""

from __future__ import annotations

from typing import Dict


class Memory:
    name = "memory"

    def __init__(self, meminfo: str = "/proc/meminfo") -> None:
        self._meminfo = meminfo

    def collect(self) -> Dict[str, float]:
        kilobytes = {}
        with open(self._meminfo) as stream:
            for line in stream:
                key, _, rest = line.partition(":")
                kilobytes[key] = int(rest.split()[0])
        total, available = kilobytes["MemTotal"], kilobytes["MemAvailable"]
        swap = kilobytes["SwapTotal"] - kilobytes["SwapFree"]
        return {
            "memory.used_mb": round((total - available) * 1.024e-3, 1),
            "memory.available_mb": round(available * 1.024e-3, 1),
            "memory.swap_used_mb": round(swap * 1.024e-3, 1),
        }
