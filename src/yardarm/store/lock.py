"""Locks whose owner is named, released by the kernel when the owner dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yardarm.errors import Busy


@contextmanager
def exclusive(file: Path, purpose: str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock in `file` while the block runs; `wait` seconds for others to finish.

    Raises:
        Busy: another process holds it; the message names its pid and purpose.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as stream:
        deadline = time.monotonic() + wait
        while not _try(stream.fileno()):
            if time.monotonic() >= deadline:
                stream.seek(0)
                owner = stream.read().strip() or "another process"
                raise Busy(
                    f"busy: {owner}", where=str(file), hint="wait for it to end, then run again"
                )
            time.sleep(0.05)
        stream.truncate(0)
        stream.write(f"process {os.getpid()} ({purpose})")
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
