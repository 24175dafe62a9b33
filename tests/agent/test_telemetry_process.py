"""The sampler as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from yardarm_agent.layout import Layout
from yardarm_agent.spool import Spool
from yardarm_wire.files import FILES

Sampler = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def open_layout() -> Iterator[Layout]:
    """A root that any user may enter, with a release that samples often."""
    top = Path(tempfile.mkdtemp(prefix="yardarm-telemetry-"))
    top.chmod(0o755)
    layout = Layout(str(top / "root"))
    layout.prepare()
    zone = top / "zone" / "temp"
    zone.parent.mkdir()
    zone.write_text("42000")
    release = Path(layout.release("sha256:" + "0" * 64))
    release.mkdir()
    settings = {"interval": 0.05, "temperature": [str(zone)], "clock": []}
    (release / "release.json").write_text(json.dumps({"telemetry": settings}))
    FILES.link(release.name, layout.current)
    yield layout
    shutil.rmtree(top)


@pytest.fixture
def sampler(open_layout: Layout, agent: Path) -> Iterator[Sampler]:
    started: list[subprocess.Popen[bytes]] = []
    file = Path(open_layout.root, "agent.pyz")
    shutil.copy(agent, file)

    def start() -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-I", "-S", file, "telemetry", "--root", open_layout.root]
        started.append(subprocess.Popen(argv, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def records(layout: Layout, least: int) -> list[dict[str, object]]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = Spool(layout.spool).read(1000)
        if len(found) >= least:
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def end(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    process.send_signal(signal.SIGTERM)
    _out, err = process.communicate(timeout=10)
    return process.returncode, err


def rss_mb(pid: int) -> float:
    words = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()
    return int(words[0]) * 1.024e-3


def test_it_samples_until_it_is_told_to_stop(
    open_layout: Layout, sampler: Sampler, capsys: pytest.CaptureFixture[str]
) -> None:
    process = sampler()
    found = records(open_layout, 5)
    assert [record["seq"] for record in found] == list(range(1, len(found) + 1))
    values = found[-1]["values"]
    assert isinstance(values, dict) and values["temperature.zone_c"] == 42.0
    assert values["memory.used_mb"] > 0
    size = rss_mb(process.pid)
    with capsys.disabled():
        sys.stdout.write(f"\ntelemetry process: {size:.1f} MB resident\n")
    assert size < 25
    second = sampler()
    assert second.wait(10) == 1, "one sampler is enough"
    assert end(process) == (0, b"")
    last = len(Spool(open_layout.spool).read(1000))
    again = sampler()
    assert records(open_layout, last + 2)[-1]["seq"] == last + 2
    assert end(again) == (0, b"")


def test_without_a_release_it_samples_too(open_layout: Layout, sampler: Sampler) -> None:
    Path(open_layout.current).unlink()
    process = sampler()
    assert records(open_layout, 1)
    assert end(process)[0] == 0


@pytest.mark.root
def test_it_is_nobody(open_layout: Layout, sampler: Sampler) -> None:
    secret = Path(open_layout.root, "secret")
    secret.write_text("root's")
    Path(open_layout.spool, "identity").symlink_to(secret)
    process = sampler()
    records(open_layout, 2)
    status = Path(f"/proc/{process.pid}/status").read_text()
    for line in ("Uid", "Gid"):
        assert status.split(f"{line}:")[1].split()[:4] == ["65534"] * 4
    assert status.split("Groups:")[1].split("\n")[0].strip() == ""
    owners = {path.name: path.lstat().st_uid for path in Path(open_layout.spool).iterdir()}
    assert set(owners.values()) == {65534}
    assert secret.stat().st_uid == 0, "no link was followed while it was root"
    assert end(process) == (0, b"")


@pytest.mark.root
def test_a_full_disk_is_survived(open_layout: Layout, sampler: Sampler) -> None:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", open_layout.spool],
        check=True, timeout=20,
    )  # fmt: skip
    try:
        filler = Path(open_layout.spool, "filler")
        filler.write_bytes(bytes(56 * 1024))
        process = sampler()
        deadline = time.monotonic() + 20
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        said = b""
        while b"No space" not in said and time.monotonic() < deadline:
            said += process.stderr.read() or b""
            time.sleep(0.05)
        before = len(Spool(open_layout.spool).read(1000))
        filler.unlink()
        assert len(records(open_layout, before + 5)) > before
        assert end(process)[0] == 0
    finally:
        subprocess.run(["umount", open_layout.spool], check=True, timeout=20)
