"""Several transfers at a time, which end together when one of them fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from yardarm.events import Step
from yardarm.registry.transport import Abandoned

AT_ONCE = 3
"""A registry's answer is waited for while others arrive; more only share the line."""

_LOOK = 0.1  # seconds between two looks at the progress

T = TypeVar("T")


class Meter:
    """Bytes that several threads have moved.

    Args:
        stop: is called when they are to end.
    """

    def __init__(self, total: int, stop: Callable[[], None] = lambda: None) -> None:
        self.total = total
        self.done = 0
        self._lock = threading.Lock()
        self._stop = stop
        self._stopped = False

    def add(self, size: int) -> None:
        """Raises Abandoned after `stop`."""
        with self._lock:
            self.done += size
        if self._stopped:
            raise Abandoned

    def stop(self) -> None:
        self._stopped = True
        self._stop()


def together(tasks: Sequence[Callable[[], T]], meter: Meter, progress: Step) -> list[T]:
    """Results in the order of the tasks. Progress is told by the calling thread, which may be
    interrupted there; an interrupt or the first failure ends all of them, and is raised."""
    executor = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="registry")
    futures = [executor.submit(task) for task in tasks]
    try:
        pending = set(futures)
        while pending:
            ended, pending = wait(pending, timeout=_LOOK, return_when=FIRST_EXCEPTION)
            progress.advance(meter.done, meter.total, "bytes")
            if any(future.exception() for future in ended):
                break
    finally:
        if not all(future.done() for future in futures):
            meter.stop()
        executor.shutdown(wait=True, cancel_futures=True)
    _raise_first(futures)
    return [future.result() for future in futures]


def _raise_first(futures: Sequence[Future[T]]) -> None:
    failures = [f.exception() for f in futures if not f.cancelled() and f.exception()]
    for failure in sorted(failures, key=lambda error: isinstance(error, Abandoned)):
        if failure is not None:
            raise failure
