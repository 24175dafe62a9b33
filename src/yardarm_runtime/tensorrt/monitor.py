"""A build's progress, from the phases that TensorRT 10 and newer tell."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict

Progress = Callable[[str, int, int], None]

INTERVAL_S = 0.2
"""Steps that come faster than that are not told one by one."""


class Phases:
    """Steps done by phase, from several threads."""

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._lock = threading.Lock()
        self._totals: Dict[str, int] = {}
        self._told = 0.0

    def begin(self, phase: str, total: int) -> None:
        with self._lock:
            self._totals[phase] = total
        self._tell(phase, 0, False)

    def step(self, phase: str, step: int) -> None:
        self._tell(phase, step + 1, False)

    def finish(self, phase: str) -> None:
        self._tell(phase, self._totals.get(phase, 0), True)

    def _tell(self, phase: str, done: int, finished: bool) -> None:
        with self._lock:
            total = self._totals.get(phase, 0)
            now = self._clock()
            if finished:
                self._totals.pop(phase, None)
            elif now - self._told < INTERVAL_S:
                return
            self._told = now
        self._progress("building: %s" % phase, min(done, total), total)


def monitor_for(trt: Any, progress: Progress) -> Any:
    """TensorRT's monitor that tells `progress`; the build is never stopped by it."""
    phases = Phases(progress)

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: Any, num_steps: int) -> None:
            phases.begin(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            phases.step(phase_name, step)
            return True

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()
