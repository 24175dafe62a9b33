"""What the agent samples, one collector a file. Each takes its paths as parameters, and
answers with numbers by name; whoever calls isolates failures and keeps time."""

from __future__ import annotations

import math
import os
import time
from typing import Any, Dict, List, Mapping, Tuple

from yardarm_agent.collectors import clock, cpu, disk, memory, runtime, temperature

MAX_ERROR = 200


def for_settings(settings: Mapping[str, Any], disk_path: str, counters: str) -> List[Any]:
    """The collectors of a device. `settings` names globs for "temperature" and "clock";
    `counters` is the folder where runtimes keep theirs."""
    return [
        cpu.Cpu(),
        memory.Memory(),
        disk.Disk(disk_path),
        temperature.Temperature(settings.get("temperature", [])),
        clock.Clock(settings.get("clock", [])),
        runtime.Runtime(os.path.join(counters, "counters.json")),
        runtime.Runtime(os.path.join(counters, "bench.json"), "bench"),
    ]


def sample(collectors: List[Any]) -> Dict[str, Any]:
    """One record: values of all collectors, and how each of them fared."""
    values: Dict[str, float] = {}
    fared: Dict[str, Any] = {}
    for collector in collectors:
        taken, outcome = _one(collector)
        values.update(taken)
        fared[collector.name] = outcome
    return {"t": time.time(), "values": values, "collectors": fared}


def _one(collector: Any) -> Tuple[Dict[str, float], Dict[str, Any]]:
    begun = time.perf_counter()
    try:
        taken = _numbers(collector.collect())
        outcome: Dict[str, Any] = {"ok": True}
    except Exception as error:  # noqa: BLE001  one failing collector never stops the others
        taken, outcome = {}, {"ok": False, "error": _told(error)}
    outcome["seconds"] = round(time.perf_counter() - begun, 6)
    return taken, outcome


def _numbers(values: Mapping[str, Any]) -> Dict[str, float]:
    """What a record may hold; counters, for one, are written by the release."""
    for name, value in values.items():
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError("%s is no number" % name)
    return dict(values)


def _told(error: Exception) -> str:
    return ("%s: %s" % (type(error).__name__, error))[:MAX_ERROR]
