"""What a run's latency is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yardarm.artifacts import EMULATED

REQUIRED = ("p50", "p90", "p99")
"""The percentiles that reports lead with: without one of them a run is not enough."""


def verdict(*, emulated: bool, insufficient: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """`status` EMULATED, INSUFFICIENT or VALID, and the reasons for the first two.

    Args:
        emulated: the device is virtual.
        insufficient: percentiles that lack samples, as `statistics.insufficient` tells them.
    """
    lacking = [
        f"{name} needs {insufficient[name]['need']} samples, the run has "
        f"{insufficient[name]['have']}"
        for name in REQUIRED
        if name in insufficient
    ]
    if emulated:
        return {"status": "EMULATED", "reasons": [EMULATED, *lacking]}
    return {"status": "INSUFFICIENT" if lacking else "VALID", "reasons": lacking}
