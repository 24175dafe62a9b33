"""Clocks of the cores in MHz."""

from __future__ import annotations

import re
from typing import Dict, Sequence

from yardarm_agent.collectors.sensors import readings


class Clock:
    name = "clock"

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns

    def collect(self) -> Dict[str, float]:
        values = {}
        for path, kilohertz in readings(self._patterns):
            core = re.search(r"cpu\d+", path)
            values["clock.%s_mhz" % (core.group() if core else path)] = kilohertz / 1e3
        return values
