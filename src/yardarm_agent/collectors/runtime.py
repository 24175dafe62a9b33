"""The runtime's own counters: requests, errors and latencies in µs, of the service under
`runtime` and, while one runs, of a benchmark under `bench`."""

from __future__ import annotations

import json
from typing import Dict

MOST = 1 << 16
LATENCIES = ("count", "p50", "p90", "p99", "max")


class Runtime:
    def __init__(self, counters: str, name: str = "runtime") -> None:
        self._counters = counters
        self.name = name

    def collect(self) -> Dict[str, float]:
        try:
            with open(self._counters, "rb") as stream:
                body = json.loads(stream.read(MOST).decode())
        except FileNotFoundError:
            return {}  # it doesn't run, or nothing has come yet
        values = {
            "%s.requests" % self.name: body["requests"],
            "%s.errors" % self.name: body["errors"],
        }
        for key in LATENCIES:
            value = body["latency_us"].get(key)
            if value is not None:
                unit = "" if key == "count" else "_us"
                values["%s.latency_%s%s" % (self.name, key, unit)] = value
        return values
