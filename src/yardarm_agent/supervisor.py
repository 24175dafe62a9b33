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
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from yardarm_agent import building, daemon, engine, engines, sockets
from yardarm_agent.layout import Layout
from yardarm_wire.files import FILES
from yardarm_wire.problems import Problem

LONGEST_PAUSE = 30.0
LOOK_EVERY = 60.0
ADOPTED_EVERY = 0.5
"""Seconds between looks at a service that is not our child, and so tells us nothing."""
CRASHES = 2
"""So often a release under proof may end by itself before it counts as broken."""

STABLE = 60.0
"""Seconds after which a run counts as stable, and the pause starts from short again."""


class _Stop(Exception):
    """SIGTERM came."""


def supervise(layout: Layout) -> int:
    """Run until SIGTERM. Exit code 0; 1 when another supervisor is there already."""
    lock = daemon.hold(layout, "supervisor", daemon.identity())
    if lock is None:
        return 1
    pause, restarts = 1.0, 0
    try:
        signal.signal(signal.SIGTERM, _stop)
        _adopt(layout)
        while True:
            digest = layout.active(layout.current)
            if digest is None:
                return 0
            begun = time.monotonic()
            how = _attempt(layout, digest, restarts)
            restarts += 1
            pause = 1.0 if time.monotonic() - begun > STABLE else min(pause * 2, LONGEST_PAUSE)
            _say("%s; again in %.0f s" % (how, pause))
            time.sleep(pause)
    except _Stop:
        return 0


def ensure(layout: Layout) -> None:
    """See to it that a supervisor of the present agent runs. One that is of another version
    is killed, which the service survives: the new one adopts it."""
    owner = daemon.holder(layout, "supervisor")
    if owner is None or owner[1] != daemon.identity():
        daemon.kill(layout, "supervisor")
        daemon.start(layout, "supervisor")


def _adopt(layout: Layout) -> None:
    """Watch over the service that a supervisor before us has left, until it ends. One of
    another release is ended: no two may run."""
    body = _recorded(layout)
    if body is None:
        return
    if body["release"] != layout.active(layout.current):
        end_stale(layout)
        return
    try:
        while birth(body["pid"]) == body["born"]:
            time.sleep(ADOPTED_EVERY)
        _say("the release, which an earlier supervisor had started, has ended")
    except _Stop:
        end_stale(layout)
        raise


def _attempt(layout: Layout, digest: str, restarts: int) -> str:
    """Run the release until it ends. A full disk or a missing file is no reason to stop
    trying: somebody may mend it."""
    try:
        return "the release ended with code %d" % _run(layout, digest, restarts)
    except (OSError, ValueError, KeyError, Problem) as error:
        return "the release can't be started: %s: %s" % (type(error).__name__, error)


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
    wanted = building.name(layout, digest)
    if building.lacking(layout, digest):
        _say("the engine of the release is not here, and is built first: that takes minutes")
        with engines.owned(layout) as lock:
            argv = building.arguments(layout, digest)
            code = _to_end(layout, _Start(argv, digest, restarts, wanted, (lock.fileno(),)))
        if code != 0:
            return code
    return _to_end(layout, _Start(arguments(layout, digest), digest, restarts, wanted))


class _Start(NamedTuple):
    """A program of a release; `engine` names the one that it wants, `kept` are descriptors of
    ours that it inherits."""

    argv: List[str]
    release: str
    restarts: int
    engine: str
    kept: Tuple[int, ...] = ()


def _to_end(layout: Layout, start: _Start) -> int:
    child = _spawn(layout, start)
    try:
        if _stopped:
            raise _Stop
        return _wait(layout, child)
    finally:
        _end(child)


def _spawn(layout: Layout, start: _Start) -> "subprocess.Popen[bytes]":
    # A stop waits until the service is written down: before, nobody could end it.
    signal.signal(signal.SIGTERM, _stop_later)
    try:
        child = subprocess.Popen(
            start.argv, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=start.kept
        )
        _record(layout, child.pid, start)
    finally:
        signal.signal(signal.SIGTERM, _stop)
    return child


def _wait(layout: Layout, child: "subprocess.Popen[bytes]") -> int:
    while True:
        try:
            return child.wait(LOOK_EVERY)
        except subprocess.TimeoutExpired:
            daemon.trim(layout, "supervisor")


def _end(child: "subprocess.Popen[bytes]") -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child.terminate()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    signal.signal(signal.SIGTERM, _stop)


def _record(layout: Layout, pid: int, start: _Start) -> None:
    body = {
        "pid": pid,
        "born": birth(pid),
        "release": start.release,
        "restarts": start.restarts,
        "since": time.time(),
        "engine": start.engine,
    }
    try:
        FILES.write(_service(layout), json.dumps(body).encode())
    except OSError as error:  # a full disk must not end what runs
        _say("can't write down the service's pid: %s" % error)


def _service(layout: Layout) -> str:
    return os.path.join(layout.run, "service.json")


def _recorded(layout: Layout) -> Optional[Dict[str, Any]]:
    """What was written down of a service that still lives; None: there is none."""
    try:
        with open(_service(layout), "rb") as stream:
            body: Dict[str, Any] = json.load(stream)
    except (FileNotFoundError, ValueError):
        return None
    born = birth(body["pid"])
    return body if born is not None and born == body["born"] else None


def engine_served(layout: Layout) -> str:
    """The key's digest of the engine that the service was started with; "" without one."""
    body = _recorded(layout)
    return str(body.get("engine", "")) if body else ""


def listening(layout: Layout, digest: str, port: int) -> bool:
    """Whether the service of this release lives and has the port, which others may have."""
    body = _recorded(layout)
    return bool(body and body["release"] == digest and sockets.listens(body["pid"], port))


def port_free(layout: Layout, port: int) -> bool:
    """Whether a release may have the port: nobody listens, or only our own service, which
    ends before another one starts."""
    body = _recorded(layout)
    return not sockets.taken(port) or bool(body and sockets.listens(body["pid"], port))


def crashing(layout: Layout, digest: str) -> bool:
    """Whether the service of this release has ended `CRASHES` times since it was started."""
    try:
        with open(_service(layout), "rb") as stream:
            body = json.load(stream)
    except (FileNotFoundError, ValueError):
        return False
    return bool(body["release"] == digest and body["restarts"] >= CRASHES)


def end_stale(layout: Layout, patience: float = 5.0) -> None:
    """End the service of a supervisor that was killed itself: SIGTERM, then SIGKILL."""
    begun = time.monotonic()
    while time.monotonic() - begun < 2 * patience:
        body = _recorded(layout)
        if body is None:
            return
        late = time.monotonic() - begun > patience
        try:
            os.killpg(body["pid"], signal.SIGKILL if late else signal.SIGTERM)
        except ProcessLookupError:
            return
        time.sleep(0.05)  # until it has let go of its port


def birth(pid: int) -> Optional[str]:
    """Start time of a process in clock ticks: with its pid it names one process for good.
    None: there is no such process, or it has ended."""
    try:
        with open("/proc/%d/stat" % pid) as stream:
            fields = stream.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def _stop(_number: int, _frame: Optional[FrameType]) -> None:
    raise _Stop


_stopped: List[int] = []


def _stop_later(number: int, _frame: Optional[FrameType]) -> None:
    _stopped.append(number)


def _say(text: str) -> None:
    sys.stderr.write("%s %s\n" % (time.strftime("%Y-%m-%dT%H:%M:%S"), text))
    sys.stderr.flush()
