"""Having the worker do something in a process of its own, and telling how that ended."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, Any, Callable, Dict, Optional

from yardarm_runtime.problems import Problem

HEARTBEAT_S = 2.0
"""Nobody waits longer than that for a sign of life."""

LEAVE_S = 10.0

TAIL = 2000
"""Characters of a crash's last words."""

Progress = Callable[[str, int, int], None]


class Ended(Problem):
    """The process was killed, crashed or was stopped. `how` says it."""

    def __init__(self, how: str) -> None:
        Problem.__init__(self, how)
        self.how = how


def work(request: Dict[str, Any], progress: Progress, limit_s: Optional[float]) -> Dict[str, Any]:
    """What the worker answers; `progress` is told at least every few seconds.

    Raises:
        Problem: the worker's own.
        Ended: it died without an answer, or took longer than `limit_s`.
    """
    asked = json.dumps(dict(request, parent=os.getpid()))
    argv = [sys.executable, "-m", "yardarm_runtime.tensorrt.worker", asked]
    paths = [path for path in sys.path if path]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(paths)),
        )
        lines: queue.Queue[Optional[Dict[str, Any]]] = queue.Queue()
        reading = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reading.start()
        try:
            answer = _follow(lines, progress, limit_s)
            code = _ended(process)
        finally:
            process.kill()
            process.wait()
            reading.join()
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - TAIL))
        last = errors.read().decode(errors="replace").strip()
    if "done" in answer:
        return dict(answer["done"])
    if "problem" in answer:
        raise Problem(answer["problem"])
    raise Ended(_how(code, last))


def _ended(process: "subprocess.Popen[bytes]") -> int:
    """Its code; it has answered, and may take a while to give everything back."""
    try:
        return process.wait(LEAVE_S)
    except subprocess.TimeoutExpired:
        return 0


def _follow(
    lines: "queue.Queue[Optional[Dict[str, Any]]]", progress: Progress, limit_s: Optional[float]
) -> Dict[str, Any]:
    """The last line of the worker's, {} where it ends without one."""
    begun = time.monotonic()
    last = ("starting", 0, 0)
    while limit_s is None or time.monotonic() - begun < limit_s:
        try:
            line = lines.get(timeout=HEARTBEAT_S)
        except queue.Empty:
            line = {}
        if line is None or "done" in line or "problem" in line:
            return line or {}
        last = tuple(line.get("progress", last))
        progress(*last)
    raise Ended("it gave no answer within %d s" % limit_s)


def _read(stream: IO[bytes], lines: "queue.Queue[Optional[Dict[str, Any]]]") -> None:
    with stream:
        for text in stream:
            try:
                line = json.loads(text.decode())
            except ValueError:
                continue
            if isinstance(line, dict):
                lines.put(line)
    lines.put(None)


def _how(code: int, last: str) -> str:
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        how = "killed by %s" % name
        if -code == signal.SIGKILL:
            how += ", as the kernel does when memory runs out"
    else:
        how = "it ended with code %d" % code
    lines = last.splitlines()[-3:]
    return "%s (%s)" % (how, " / ".join(lines)) if lines else how
