"""Keeps the current release running: starts it, and again when it ends, with patience.

Runs without systemd, for devices of the lab; where systemd is, units do this.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import List, Optional

from yardarm_agent import daemon, engine
from yardarm_agent.layout import Layout
from yardarm_wire.files import FILES

LONGEST_PAUSE = 30.0
STABLE = 60.0
"""Seconds after which a run counts as stable, and the pause starts from short again."""


class _Stop(Exception):
    """SIGTERM came."""


def supervise(layout: Layout) -> int:
    """Run until SIGTERM. Exit code 0; 1 when another supervisor is there already."""
    lock = daemon.hold(layout, "supervisor", daemon.identity())
    if lock is None:
        return 1
    signal.signal(signal.SIGTERM, _stop)
    end_stale(layout)
    pause, restarts = 1.0, 0
    try:
        while True:
            digest = layout.active(layout.current)
            if digest is None:
                return 0
            begun = time.monotonic()
            code = _run(layout, digest, restarts)
            restarts += 1
            pause = 1.0 if time.monotonic() - begun > STABLE else min(pause * 2, LONGEST_PAUSE)
            _say("the release ended with code %d; again in %.0f s" % (code, pause))
            time.sleep(pause)
    except _Stop:
        return 0


def arguments(layout: Layout, digest: str) -> List[str]:
    """The argv that serves a release."""
    with open(os.path.join(layout.release(digest), "release.json"), "rb") as stream:
        run = json.load(stream)["run"]
    shared = engine.Bind("rw", os.path.join(layout.run, "service"), "run/yardarm")
    return engine.for_release(
        layout,
        digest,
        [shared],
        "serve",
        "--bundle",
        "/bundle",
        "--host",
        "127.0.0.1",
        "--port",
        str(run["port"]),
        "--threads",
        str(run["threads"]),
        "--counters",
        "/run/yardarm/counters.json",
    )


def _run(layout: Layout, digest: str, restarts: int) -> int:
    os.makedirs(os.path.join(layout.run, "service"), 0o755, exist_ok=True)
    child = subprocess.Popen(
        arguments(layout, digest), stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _record(layout, child.pid, digest, restarts)
        return child.wait()
    finally:
        _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child.terminate()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    signal.signal(signal.SIGTERM, _stop)


def _record(layout: Layout, pid: int, digest: str, restarts: int) -> None:
    body = {
        "pid": pid,
        "born": birth(pid),
        "release": digest,
        "restarts": restarts,
        "since": time.time(),
    }
    FILES.write(os.path.join(layout.run, "service.json"), json.dumps(body).encode())


def end_stale(layout: Layout) -> None:
    """Kill the service of a supervisor that was killed itself: no two may run."""
    try:
        with open(os.path.join(layout.run, "service.json"), "rb") as stream:
            body = json.load(stream)
    except (FileNotFoundError, ValueError):
        return
    if birth(body["pid"]) is not None and birth(body["pid"]) == body["born"]:
        os.killpg(body["pid"], signal.SIGKILL)


def birth(pid: int) -> Optional[str]:
    """Start time of a process in clock ticks: with its pid it names one process for good."""
    try:
        with open("/proc/%d/stat" % pid) as stream:
            return stream.read().rsplit(")", 1)[1].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


def _stop(_number: int, _frame: Optional[FrameType]) -> None:
    raise _Stop


def _say(text: str) -> None:
    sys.stderr.write("%s %s\n" % (time.strftime("%Y-%m-%dT%H:%M:%S"), text))
    sys.stderr.flush()
