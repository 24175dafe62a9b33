"""Locks of the daemons, and how they are ended; services whose supervisor was killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from yardarm_agent import daemon, supervisor
from yardarm_agent.layout import Layout

HOLD = """
import signal, sys, time
sys.path.insert(0, sys.argv[1])
from yardarm_agent import daemon
from yardarm_agent.layout import Layout
if sys.argv[3] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
lock = daemon.hold(Layout(sys.argv[2]), "thing", "ich är hier")
print("held" if lock else "taken", flush=True)
time.sleep(60 if lock else 0)
"""
SOURCE = str(Path(daemon.__file__).parents[1])

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(layout: Layout) -> Iterator[Start]:
    """Start a process that tries to hold the lock `thing`."""
    started: list[subprocess.Popen[bytes]] = []

    def run(mood: str = "meek", env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", HOLD, SOURCE, layout.root, mood]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, **(env or {})})
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def serving(layout: Layout) -> str | None:
    """The release whose service lives."""
    body = json.loads(Path(layout.run, "service.json").read_text())
    return body["release"] if supervisor.birth(body["pid"]) == body["born"] else None


def said(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_one_holder_at_a_time_who_is_known(layout: Layout, start: Start, locale: str) -> None:
    assert daemon.holder(layout, "thing") is None
    first = start(env={"LC_ALL": locale})
    assert said(first) == "held"
    assert daemon.holder(layout, "thing") == [str(first.pid), "ich är hier"]
    assert said(start()) == "taken"
    assert daemon.hold(layout, "thing") is None
    first.kill()
    first.wait()
    assert daemon.holder(layout, "thing") is None, "its text stays, but nobody holds the lock"
    lock = daemon.hold(layout, "thing", "new")
    assert lock is not None
    assert daemon.holder(layout, "thing") == [str(os.getpid()), "new"]
    lock.close()


@pytest.mark.parametrize("mood", ["meek", "stubborn"])
def test_a_holder_is_ended(layout: Layout, start: Start, mood: str) -> None:
    process = start(mood)
    assert said(process) == "held"
    daemon.stop(layout, "thing", patience=0.5)
    assert daemon.holder(layout, "thing") is None
    how = {"meek": signal.SIGTERM, "stubborn": signal.SIGKILL}[mood]
    assert process.wait(5) == -how


@pytest.mark.parametrize("text", ["", "nonsense", "999999999 gone", "1 init"])
def test_a_stale_pid_is_never_signalled(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    Path(layout.run, "thing.lock").write_text(text)
    monkeypatch.setattr(daemon.os, "kill", lambda *_call: pytest.fail("was signalled"))
    daemon.stop(layout, "thing")


def test_a_lock_that_names_nobody_is_waited_for(layout: Layout) -> None:
    lock = daemon.hold(layout, "thing")
    assert lock is not None
    lock.truncate(0)
    daemon.stop(layout, "thing", patience=0.1)
    lock.close()


def test_a_log_is_kept_within_bounds(layout: Layout) -> None:
    log = Path(layout.run, "thing.log")
    daemon.trim(layout, "thing")
    with log.open("ab") as stream:
        stream.write(b"a" * 10 + b"b" * daemon.MAX_LOG)
        stream.flush()
        daemon.trim(layout, "thing")
        stream.write(b"after")
    assert log.read_bytes() == b"after"
    assert Path(f"{log}.1").read_bytes() == b"b" * daemon.MAX_LOG


@pytest.fixture
def service(layout: Layout, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A service in a session of its own, as the supervisor starts them, and its record."""
    mood = getattr(request, "param", "")
    argv = ["sh", "-c", f"{mood} echo here; sleep 60"]
    process = subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE)
    assert said(process) == "here"
    supervisor._record(layout, process.pid, supervisor._Start([], "sha256:x", 0, ""))
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its `sleep` would keep the pipe open
    process.communicate()


@pytest.mark.parametrize(
    ("service", "number"),
    [("", signal.SIGTERM), ("trap '' TERM;", signal.SIGKILL)],
    indirect=["service"],
)
def test_a_service_that_was_left_behind_is_ended(
    layout: Layout, service: subprocess.Popen[bytes], number: int
) -> None:
    assert serving(layout) == "sha256:x"
    begun = time.monotonic()
    supervisor.end_stale(layout, patience=1)
    assert service.wait(5) == -number
    assert serving(layout) is None and time.monotonic() - begun < 4


def test_another_process_with_its_pid_is_left_alone(
    layout: Layout, service: subprocess.Popen[bytes]
) -> None:
    file = Path(layout.run, "service.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "born": "1"}))
    supervisor.end_stale(layout)
    assert serving(layout) is None and service.poll() is None


@pytest.mark.parametrize("text", [None, "", "{"])
def test_without_a_record_nothing_is_killed(layout: Layout, text: str | None) -> None:
    if text is not None:
        Path(layout.run, "service.json").write_text(text)
    supervisor.end_stale(layout)


def test_a_process_that_ended_has_no_birth() -> None:
    assert supervisor.birth(os.getpid()) == supervisor.birth(os.getpid()) is not None
    process = subprocess.Popen(["true"])
    deadline = time.monotonic() + 5
    while supervisor.birth(process.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert supervisor.birth(process.pid) is None, "neither as a zombie"
    process.wait()
    assert supervisor.birth(process.pid) is None
