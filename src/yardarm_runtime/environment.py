"""The state of the machine around a run: governor, clocks, temperatures, throttling, load.

What a machine has no sensor for is absent or None; nothing is made up.
"""

from __future__ import annotations

import glob
import os
import time
from typing import Any, Dict, Optional

_CPU = "sys/devices/system/cpu/cpu[0-9]*/cpufreq/"
_ZONES = "sys/class/thermal/thermal_zone*"
_THROTTLE = "sys/devices/platform/soc*/soc*firmware/get_throttled"


def snapshot(root: str = "/") -> Dict[str, Any]:
    """Read now. `root` is where sys/ and proc/ lie; memory is always this machine's.

    Clocks in MHz, temperatures in °C, memory in MB (10^6 bytes), load over 1, 5, 15 min;
    `throttled` is the firmware's hexadecimal word.
    """
    return {
        "t": time.time(),
        "governors": _each(root, _CPU + "scaling_governor", -3),
        "clocks_mhz": _scaled(_each(root, _CPU + "scaling_cur_freq", -3), 1e-3),
        "temperatures_c": _temperatures(root),
        "throttled": next(iter(_each(root, _THROTTLE, -1).values()), None),
        "load": _load(root),
        "memory": _memory(),
    }


def _each(root: str, pattern: str, part: int) -> Dict[str, str]:
    """Contents of the files that match, by one component of their path."""
    found = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(root), pattern))):
        text = _text(path)
        if text:
            found[path.split("/")[part]] = text
    return found


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read(4096).strip()
    except OSError:
        return None


def _number(text: Optional[str]) -> Optional[float]:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _scaled(texts: Dict[str, str], factor: float) -> Dict[str, float]:
    numbers = {name: _number(text) for name, text in texts.items()}
    return {name: round(value * factor, 3) for name, value in numbers.items() if value is not None}


def _temperatures(root: str) -> Dict[str, float]:
    """By zone and type, such as "thermal_zone0 cpu-thermal": types alone may repeat."""
    kinds = _each(root, _ZONES + "/type", -2)
    degrees = _scaled(_each(root, _ZONES + "/temp", -2), 1e-3)
    return {("%s %s" % (zone, kinds.get(zone, ""))).strip(): degrees[zone] for zone in degrees}


def _load(root: str) -> Any:
    words = (_text(os.path.join(root, "proc/loadavg")) or "").split()[:3]
    numbers = [_number(word) for word in words]
    return numbers if len(numbers) == 3 and None not in numbers else None


def _memory() -> Optional[Dict[str, float]]:
    import psutil

    try:
        system = psutil.virtual_memory()
        resident = psutil.Process().memory_info().rss
    except (psutil.Error, OSError, ValueError, KeyError):
        return None
    values = {"total_mb": system.total, "available_mb": system.available, "resident_mb": resident}
    return {name: round(value / 1e6, 1) for name, value in values.items()}
