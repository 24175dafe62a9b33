"""What the service counts, and the small file in which the agent reads it."""

from __future__ import annotations

import bisect
import itertools
import json
import math
import os
import tempfile
import threading
import time
from typing import Any, Dict, List, Optional

LOWEST_US = 1.0
GROWTH = 1.05
BUCKETS = 426
"""From 1 µs to beyond 1,000 s in steps of 5 %: memory is bounded, and so is the error."""


class Histogram:
    """Durations in microseconds in log-spaced buckets."""

    def __init__(self) -> None:
        self._bounds = [LOWEST_US * GROWTH**index for index in range(BUCKETS)]
        self._counts = [0] * (BUCKETS + 1)
        self.count = 0
        self.sum = 0.0
        self.max = 0.0

    def add(self, microseconds: float) -> None:
        self._counts[bisect.bisect_left(self._bounds, microseconds)] += 1
        self.count += 1
        self.sum += microseconds
        self.max = max(self.max, microseconds)

    def percentile(self, percent: float) -> Optional[float]:
        """The upper bound of the bucket that holds the nearest rank, so at most 5 % too
        high and never too low (above 1 µs); None while nothing is counted."""
        if not self.count:
            return None
        rank = max(1, math.ceil(self.count * percent / 100))
        reached = itertools.accumulate(self._counts)
        index = next(index for index, seen in enumerate(reached) if seen >= rank)
        return min(self._bounds[index], self.max) if index < BUCKETS else self.max


class Counters:
    """Requests, errors and latencies; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = 0
        self._errors = 0
        self._latency = Histogram()

    def answered(self, microseconds: float) -> None:
        with self._lock:
            self._requests += 1
            self._latency.add(microseconds)

    def answered_all(self, microseconds: List[float]) -> None:
        with self._lock:
            self._requests += len(microseconds)
            for item in microseconds:
                self._latency.add(item)

    def refused(self) -> None:
        with self._lock:
            self._requests += 1
            self._errors += 1

    def snapshot(self) -> Dict[str, Any]:
        """`t` in Unix seconds, latencies in microseconds since the start of the process."""
        with self._lock:
            latency = self._latency
            return {
                "t": time.time(),
                "requests": self._requests,
                "errors": self._errors,
                "latency_us": {
                    "count": latency.count,
                    "sum": round(latency.sum, 3),
                    "p50": _rounded(latency.percentile(50)),
                    "p90": _rounded(latency.percentile(90)),
                    "p99": _rounded(latency.percentile(99)),
                    "max": _rounded(latency.max if latency.count else None),
                },
            }


def _rounded(value: Optional[float]) -> Optional[float]:
    return None if value is None else round(value, 3)


class CountersFile:
    """Keeps a file up to date: replaced by rename, at most once in `interval` seconds.

    Not synced: counters start at zero with the process, so a power cut costs nothing, and
    a flash card is spared one flush a second.
    """

    def __init__(self, counters: Counters, path: str, interval: float = 1.0) -> None:
        self._counters = counters
        self._path = path
        self._interval = interval
        self._written = 0.0
        self._last = {}  # type: Dict[str, Any]

    def update(self, force: bool = False) -> None:
        """Write if something was counted since, and it is time. Raises OSError."""
        if not force and time.monotonic() - self._written < self._interval:
            return
        now = self._counters.snapshot()
        self._written = time.monotonic()
        changed = {**now, "t": 0} != {**self._last, "t": 0}
        if changed or force:
            _replace(self._path, json.dumps(now).encode())
            self._last = now


def _replace(path: str, data: bytes) -> None:
    handle, partial = tempfile.mkstemp(prefix=".counters-", dir=os.path.dirname(path) or ".")
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), 0o644)
            stream.write(data)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
