"""The steps of a selftest: what was done, how it ended and how long it took."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Optional

from yardarm_runtime.problems import Problem

PATIENCE_S = 5.0
"""People who wait are told what goes on about that often."""

Tell = Callable[[str], None]


class Absent(Exception):
    """Something is not there, which is no failure."""


class Steps:
    """What was done, how it ended and how long it took."""

    def __init__(self, tell: Tell) -> None:
        self.all: List[Dict[str, Any]] = []
        self._tell = tell
        self._told = time.monotonic()

    def goes_on(self, phase: str, _done: int, _total: int) -> None:
        """Said now and then, since a build takes minutes."""
        if time.monotonic() - self._told > PATIENCE_S:
            self._told = time.monotonic()
            self._tell("          ... %s" % phase)

    def do(self, name: str, action: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
        """What the action found, {} where it failed."""
        begun = time.perf_counter()
        self._told = time.monotonic()
        found: Dict[str, Any] = {}
        ok: Optional[bool] = True
        try:
            found = action()
            detail = _said(found)
        except Absent as error:
            ok, detail = None, str(error)
        except (Problem, OSError, MemoryError, ImportError, RuntimeError) as error:
            ok, detail = False, str(error) or type(error).__name__
        seconds = round(time.perf_counter() - begun, 3)
        step = {"name": name, "ok": ok, "detail": detail, "seconds": seconds}
        self.all.append(dict(step, figures=found) if found else step)
        mark = {True: "ok", False: "FAILED", None: "not there"}[ok]
        self._tell("%-9s %s: %s (%.1f s)" % (mark, name, detail, seconds))
        return found


def _said(found: Dict[str, Any]) -> str:
    known = {name: value for name, value in found.items() if value not in (None, "")}
    return ", ".join("%s %s" % (name, value) for name, value in known.items())
