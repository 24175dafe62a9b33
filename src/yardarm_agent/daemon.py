"""Long-lived processes of the agent, one of each, found by the lock that they hold."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from typing import IO, List, Optional

from yardarm_agent.layout import Layout

MAX_LOG = 1 << 20


def hold(layout: Layout, name: str, text: str = "", patience: float = 0.1) -> "IO[str] | None":
    """Take the lock `name` for as long as the returned file is open; None: it is taken,
    and was for `patience` seconds.

    The file says who holds it: pid, and `text`.
    """
    path = os.path.join(layout.run, name + ".lock")
    stream = open(path, "a+", encoding="utf-8", errors="backslashreplace")
    if not _lock(stream, fcntl.LOCK_EX, patience):
        stream.close()
        return None
    stream.truncate(0)
    stream.write("%d %s" % (os.getpid(), text))
    stream.flush()
    return stream


def _lock(stream: "IO[str]", kind: int, patience: float = 0.1) -> bool:
    """Try for a moment at least: somebody who only asks for the holder has it briefly, too."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(stream.fileno(), kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)


def holder(layout: Layout, name: str) -> "List[str] | None":
    """What the holder of a lock wrote: [pid, text]; None: nobody holds it."""
    try:
        path = os.path.join(layout.run, name + ".lock")
        stream = open(path, encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    with stream:
        if _lock(stream, fcntl.LOCK_SH):
            return None
        return (stream.read().split(" ", 1) + [""])[:2]


def start(layout: Layout, verb: str, *arguments: str) -> None:
    """Start `agent.pyz verb` in a session of its own; its output goes to run/verb.log."""
    trim(layout, verb)
    log = os.path.join(layout.run, verb + ".log")
    agent = os.path.abspath(sys.argv[0])
    with open(log, "ab") as output:
        subprocess.Popen(
            [sys.executable, "-I", "-S", agent, verb, "--root", layout.root, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )


def trim(layout: Layout, verb: str) -> None:
    """Keep the log of a daemon within bounds. Whoever has it open appends, so it may be
    copied and emptied; a line that is written in between is lost."""
    log = os.path.join(layout.run, verb + ".log")
    if not os.path.exists(log) or os.stat(log).st_size <= MAX_LOG:
        return
    with open(log, "rb") as stream:
        stream.seek(-MAX_LOG, os.SEEK_END)
        tail = stream.read(MAX_LOG)
    with open(log + ".1", "wb") as stream:
        stream.write(tail)
    os.truncate(log, 0)


def stop(layout: Layout, name: str, patience: float = 15.0) -> None:
    """End the holder of a lock: SIGTERM, and after `patience` seconds SIGKILL."""
    _end(layout, name, signal.SIGTERM, patience)
    kill(layout, name)


def kill(layout: Layout, name: str) -> None:
    """End the holder of a lock at once, without a chance to end what it started."""
    _end(layout, name, signal.SIGKILL, 5.0)


def _end(layout: Layout, name: str, number: int, seconds: float) -> None:
    deadline, sent = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        owner = holder(layout, name)
        if owner is None:
            return
        # A new holder has the lock a moment before its pid is in the file.
        if owner[0].isdigit() and owner[0] != sent:
            sent = owner[0]
            try:
                os.kill(int(sent), number)
            except ProcessLookupError:
                pass
        time.sleep(0.05)


def identity() -> str:
    """Which agent this process runs; another one after agent.pyz was replaced."""
    state: Optional[os.stat_result] = None
    try:
        state = os.stat(os.path.abspath(sys.argv[0]))
    except OSError:
        return "unknown"
    return "%d-%d" % (state.st_ino, state.st_mtime_ns)
