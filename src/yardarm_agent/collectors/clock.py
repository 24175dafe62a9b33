"""Clocks of the cores in MHz."""

from __future__ import annotations

import glob
import re
from typing import Dict, Sequence


class Clock:
    name = "clock"

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns

    def collect(self) -> Dict[str, float]:
        values = {}
        for path in sorted(path for pattern in self._patterns for path in glob.glob(pattern)):
            core = re.search(r"cpu\d+", path)
            with open(path) as stream:
                values["clock.%s_mhz" % (core.group() if core else path)] = int(stream.read()) / 1e3
        return values
