"""Timing single inferences: as little as possible happens between two clock readings."""

from __future__ import annotations

import gc
from array import array
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any, Callable, Dict, Iterator, Optional

import numpy as np

FLOOR_ITERATIONS = 5000
CHUNK_NS = 500_000_000
"""About this much time passes between two looks at the clock of the progress."""


class Samples:
    """Room for `count` timed calls, taken beforehand; `device` is int64 [count] in ns where
    the device tells how long it worked itself.

    An iteration adds two readings of the clock and two stores, nothing else: differences
    are taken afterwards, and `array("q")` stores a little faster than numpy.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.device = None  # type: Optional[np.ndarray[Any, Any]]
        self._starts = array("q", bytes(8 * count))
        self._stops = array("q", bytes(8 * count))

    def measure(self, call: Callable[[], Any], begin: int, end: int) -> None:
        """Time `call` into the places `begin` to `end`, in ns of the monotonic clock."""
        starts, stops, clock = self._starts, self._stops, perf_counter_ns
        for index in range(begin, end):
            start = clock()
            call()
            stops[index] = clock()
            starts[index] = start

    def measure_device(
        self, call: Callable[[], Any], device_ns: Callable[[], int], begin: int, end: int
    ) -> None:
        """The same, and ask the device after each call, outside of what is timed."""
        if self.device is None:
            self.device = np.zeros(self.count, np.int64)
        for index in range(begin, end):
            self.measure(call, index, index + 1)
            self.device[index] = device_ns()

    def table(self) -> np.ndarray[Any, Any]:
        """int64 [n, 2]: start since the first start, duration; both in ns."""
        starts = np.frombuffer(self._starts, np.int64)
        stops = np.frombuffer(self._stops, np.int64)
        return np.stack([starts - starts[0], stops - starts], axis=1)

    def durations(self, begin: int, end: int) -> np.ndarray[Any, Any]:
        """int64 [end - begin] in ns."""
        return self.table()[begin:end, 1]


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Collect once, then keep Python's garbage collector out of what is timed."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def floor() -> Dict[str, float]:
    """What the loop itself costs in ns, as medians over calls of nothing: `floor_ns` is in
    every duration, `iteration_ns` lies between two starts."""
    samples = Samples(FLOOR_ITERATIONS)
    with collector_at_rest():
        samples.measure(_nothing, 0, samples.count)
    starts, durations = samples.table().T
    return {
        "floor_ns": float(np.median(durations)),
        "iteration_ns": float(np.median(np.diff(starts))),
    }


def _nothing() -> None:
    pass


Between = Callable[[Samples, int, int], None]


def timed(
    call: Callable[[], Any],
    count: int,
    warmup: int,
    between: Between,
    device_ns: Optional[Callable[[], int]] = None,
) -> Samples:
    """Warm up, then time `count` calls; `between(samples, begin, end)` is called now and
    then with the places that were filled, outside any duration. `device_ns` tells how long
    the device worked in the last call."""
    samples = Samples(count)
    with collector_at_rest():
        begun = perf_counter_ns()
        for _index in range(max(1, warmup)):
            call()
        each = (perf_counter_ns() - begun) // max(1, warmup)
        chunk = max(1, min(count, CHUNK_NS // max(1, each)))
        for begin in range(0, count, chunk):
            end = min(count, begin + chunk)
            if device_ns is None:
                samples.measure(call, begin, end)
            else:
                samples.measure_device(call, device_ns, begin, end)
            between(samples, begin, end)
    return samples
