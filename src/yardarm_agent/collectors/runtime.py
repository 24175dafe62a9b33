"""The service's own counters: requests, errors and latencies in µs."""

from __future__ import annotations

import json
from typing import Dict

LATENCIES = ("count", "p50", "p90", "p99", "max")


class Runtime:
    name = "runtime"

    def __init__(self, counters: str) -> None:
        self._counters = counters

    def collect(self) -> Dict[str, float]:
        try:
            with open(self._counters, "rb") as stream:
                body = json.load(stream)
        except FileNotFoundError:
            return {}  # nothing has been served yet
        values = {"runtime.requests": body["requests"], "runtime.errors": body["errors"]}
        for name in LATENCIES:
            value = body["latency_us"].get(name)
            if value is not None:
                values["runtime.latency_%s" % (name if name == "count" else name + "_us")] = value
        return values
