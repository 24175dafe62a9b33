"""SIGINT, SIGTERM and SIGHUP: remembered, and raised where they hit.

Raised, so that every `finally` and `with` runs; remembered, since what is raised inside a
library's callback may come out as another error or as none. While an extension module loads it
isn't raised: C++ that doesn't expect an exception there ends the process (onnxruntime's does,
about once in two hundred interrupts). The alarm clock raises it afterwards.
"""

from __future__ import annotations

import signal
from importlib.machinery import ExtensionFileLoader
from types import FrameType

WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hung up",
}

AGAIN_SECONDS = 0.02

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
    if signal.getsignal(signal.SIGALRM) == _again:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # not the default, which would kill


def _take(number: int, frame: FrameType | None) -> None:
    """The second one breaks out of cleaning up, too; a third is the system's to act on."""
    _received.append(number)
    if len(_received) > 1:
        release()
    if _loads(frame):
        signal.signal(signal.SIGALRM, _again)
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS, AGAIN_SECONDS)
        return
    raise Stopped


def _again(_number: int, frame: FrameType | None) -> None:
    if not _loads(frame):
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Stopped


def _loads(frame: FrameType | None) -> bool:
    """Whether an extension module is being loaded, by the stack that a signal hit."""
    while frame is not None:
        loads = frame.f_code.co_name in ("create_module", "exec_module")
        if loads and isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        frame = frame.f_back
    return False
