"""SIGINT, SIGTERM and SIGHUP: remembered, and raised where they hit.

Raised, so that every `finally` and `with` runs; remembered, since what is raised inside an
extension module's import or a library's callback may come out as another error or as none.
"""

from __future__ import annotations

import signal
from types import FrameType

WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hung up",
}

_received: list[int] = []


class Stopped(BaseException):
    """A signal wants the program to end. No `except Exception` swallows it."""


def install() -> None:
    """Take the signals over, but for those that whoever started us had ignored (nohup)."""
    for number in WORDS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _take)


def received() -> int | None:
    """The first signal that came, or None."""
    return _received[0] if _received else None


def word(number: int) -> str:
    return WORDS[signal.Signals(number)]


def check() -> None:
    """Raises Stopped when a signal came: for places that long work passes now and then."""
    if _received:
        raise Stopped


def release() -> None:
    """From here on signals end the program at once."""
    for number in WORDS:
        if signal.getsignal(number) == _take:
            signal.signal(number, signal.SIG_DFL)


def _take(number: int, _frame: FrameType | None) -> None:
    """The second one breaks out of cleaning up, too; a third is the system's to act on."""
    _received.append(number)
    if len(_received) > 1:
        release()
    raise Stopped
