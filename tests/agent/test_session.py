"""The session over real pipes: whatever a host sends, it gets an answer or an error."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yardarm import signing
from yardarm.deploy.agent import archive
from yardarm_agent.layout import Layout
from yardarm_agent.session import Session
from yardarm_agent.spool import Spool
from yardarm_wire import frames
from yardarm_wire.frames import Frame

Open = Callable[..., Any]
DATA = b"bytes of a blob" * 100
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
PYTHONS = sorted({sys.executable, shutil.which("python3", path="/usr/bin") or sys.executable})
OPERATIONS = sorted(Session(Layout("/nowhere"), BytesIO())._operations)
CLAIMED = (
    "trust", "have", "put", "seal", "prepare", "engine_key", "place_engine", "build_engine",
    "activate", "bench", "probe", "selftest",
)  # fmt: skip
FIELDS: dict[str, dict[str, Any]] = {
    "trust": {"key": "ssh-ed25519 AAAA", "class": "pi"},
    "have": {"blobs": {}},
    "put": {"digest": DIGEST, "size": 1, "offset": 0, "encoding": "raw"},
    "seal": {"digest": DIGEST},
    "prepare": {"signature": ""},
    "engine_key": {"digest": DIGEST},
    "place_engine": {"digest": DIGEST, "signature": ""},
    "build_engine": {"digest": DIGEST},
    "activate": {"digest": DIGEST},
    "bench": {"plan": {}, "data": DIGEST},
    "probe": {"plan": {}, "data": DIGEST, "model": DIGEST, "manifest": {}},
    "selftest": {},
}


@pytest.mark.parametrize("python", PYTHONS)
def test_a_host_asks_all_that_needs_no_release(
    session: Open, layout: Layout, tmp_path: Path, python: str
) -> None:
    key, _new = signing.load_or_make(tmp_path / "key")
    spool = Spool(layout.spool)
    for value in range(5):
        spool.append({"value": value})
    spool.close()
    Path(layout.run, "supervisor.log").write_text("one\ntwo\nthree\n")
    pipes = session(python)

    hello = pipes.ask("hello", protocol=frames.PROTOCOL).header
    assert hello["protocol"] == frames.PROTOCOL and hello["python"].startswith("3.")
    status = pipes.ask("status").header
    assert status.pop("free") > 0
    assert status == {
        "current": None, "project": None, "previous": None, "class": None, "floors": {},
        "supervisor": False, "telemetry": False,
    }  # fmt: skip
    assert pipes.ask("claim", owner="me").header == {}
    assert pipes.ask("claim", owner="me again").header == {}
    assert pipes.ask("trust", key=key.public, **{"class": "pi"}).header == {"placed": True}
    assert pipes.ask("trust", key=key.public, **{"class": "pi"}).header == {"placed": False}

    have = pipes.ask("have", blobs={DIGEST: len(DATA)}).header
    assert have["blobs"] == {DIGEST: {"complete": False, "offset": 0}}
    put = {"digest": DIGEST, "size": len(DATA)}
    assert pipes.ask("put", DATA[:100], offset=0, encoding="raw", **put).header == {"length": 100}
    assert pipes.ask("have", blobs={DIGEST: len(DATA)}).header["blobs"][DIGEST]["offset"] == 100
    packed = zlib.compress(DATA[100:])
    assert pipes.ask("put", packed, offset=100, encoding="zlib", **put).header == {
        "length": len(DATA)
    }
    assert pipes.ask("seal", digest=DIGEST).header == {}
    assert pipes.ask("have", blobs={DIGEST: len(DATA)}).header["blobs"][DIGEST]["complete"]

    reply = pipes.ask("spool", limit=2)
    assert reply.header["records"] == 2 and reply.header["dropped"] == 0
    records = [json.loads(line) for line in reply.payload.splitlines()]
    assert [record["seq"] for record in records] == [1, 2]
    assert pipes.ask("acknowledge", seq=2).header == {"freed": 0}
    rest = pipes.ask("spool", limit=100)
    assert rest.header["spool"] == reply.header["spool"] and rest.header["records"] == 3
    assert pipes.ask("logs", lines=2).header == {"text": "two\nthree"}

    output = Path(layout.work, "bench", "output")
    output.mkdir(parents=True)
    (output / "result.json").write_bytes(b"0123456789")
    piece = pipes.ask("read", name="result.json", offset=4, size=3)
    assert piece.payload == b"456" and piece.header == {"size": 3}
    assert pipes.ask("read", name="result.json", offset=99, size=3).payload == b""


@pytest.mark.parametrize("op", CLAIMED)
def test_what_changes_the_device_needs_a_claim(session: Open, layout: Layout, op: str) -> None:
    kind, what = session().refused(op, DATA, **FIELDS[op])
    assert kind == "InvalidInput" and "a claim is needed first" in what
    assert list(Path(layout.trust).iterdir()) + list(Path(layout.incoming).iterdir()) == []


def test_one_session_claims_and_the_other_is_told_who(session: Open) -> None:
    first, second = session(), session()
    first.ask("claim", owner="alice@desk process 7 (yardarm deploy)")
    kind, what = second.refused("claim", owner="bob")
    assert kind == "Busy" and "alice@desk process 7 (yardarm deploy)" in what
    assert second.ask("status").header["current"] is None, "asking is free"
    assert first.end() == (0, "")
    assert second.ask("claim", owner="bob").header == {}


def test_a_killed_session_leaves_no_claim(session: Open) -> None:
    first, second = session(), session()
    first.ask("claim", owner="alice")
    first.process.kill()
    first.process.communicate()
    assert second.ask("claim", owner="bob").header == {}


def test_a_claim_clears_what_was_left_half_done(session: Open, layout: Layout) -> None:
    left = [
        Path(layout.images, ".partial-x"), Path(layout.releases, ".partial-y"),
        Path(layout.work, "bench"),
    ]  # fmt: skip
    for folder in left:
        (folder / "deep").mkdir(parents=True)
    for file in (Path(layout.trust, ".partial-z"), Path(layout.work, "file")):
        file.write_text("x")
        left.append(file)
    link = Path(layout.releases, "current.partial-7")
    link.symlink_to("nowhere")
    session().ask("claim", owner="me")
    assert not any(path.exists() for path in left) and not link.is_symlink()


def test_another_class_or_key_is_refused_and_changes_nothing(
    session: Open, layout: Layout, tmp_path: Path
) -> None:
    mine, other = (signing.load_or_make(tmp_path / name)[0] for name in ("mine", "other"))
    Path(layout.root, "device.json").write_text('{"class":"pi"}')
    pipes = session()
    pipes.ask("claim", owner="me")
    kind, what = pipes.refused("trust", key=mine.public, **{"class": "jetson"})
    assert kind == "Refused" and "this device is pi, not jetson" in what
    assert list(Path(layout.trust).iterdir()) == [], "and the key was not placed either"
    pipes.ask("trust", key=mine.public, **{"class": "pi"})
    assert pipes.refused("trust", key=other.public, **{"class": "pi"})[0] == "Refused"


def test_bad_signatures_and_unprepared_releases_are_refused(session: Open) -> None:
    pipes = session()
    pipes.ask("claim", owner="me")
    assert pipes.refused("prepare", b"{not json", signature="x")[0] == "VerificationFailed"
    assert pipes.refused("activate", digest=DIGEST)[0] == "InvalidInput"
    assert pipes.refused("bench", plan={}, data=DIGEST)[0] == "InvalidInput"
    assert pipes.refused("probe", **FIELDS["probe"])[0] == "InvalidInput"
    assert pipes.refused("seal", digest=DIGEST)[0] == "VerificationFailed"


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        ("nonsense", {}),
        ("claim", {}),
        ("put", {}),
        ("put", {"digest": "../../../etc/passwd", "size": 1, "offset": 0, "encoding": "raw"}),
        ("put", {"digest": DIGEST, "size": 1e308 * 10, "offset": 0, "encoding": "raw"}),
        ("put", {"digest": DIGEST, "size": 9, "offset": 0, "encoding": ["raw"]}),
        ("have", {"blobs": {"sha256:../../x": 1}}),
        ("have", {"blobs": {DIGEST: -5}}),
        ("have", {"blobs": [1, 2]}),
        ("have", {"blobs": {}, "config": "../../etc", "unpacked": 1}),
        ("have", {"blobs": {}, "config": DIGEST, "unpacked": 2**80}),
        ("read", {"name": "../../../trust/floor.json", "offset": 0, "size": 9}),
        ("read", {"name": "/etc/hostname", "offset": 0, "size": 9}),
        ("read", {"name": "a\0b", "offset": 0, "size": 9}),
        ("read", {"name": "link", "offset": 0, "size": 9}),
        ("read", {"name": "file", "offset": -1, "size": 9}),
        ("read", {"name": "file", "offset": 0, "size": -1}),
        ("spool", {"limit": float("inf")}),
        ("acknowledge", {"seq": "7"}),
        ("logs", {"lines": None}),
        ("activate", {"digest": ["x"]}),
        ("engine_key", {"digest": "../x"}),
        ("place_engine", {"digest": DIGEST, "signature": 7}),
        ("build_engine", {"digest": None}),
        ("read_engine", {"key": "../../etc", "offset": 0, "size": 9}),
        ("read_engine", {"key": DIGEST, "offset": -1, "size": 9}),
        ("bench", {"plan": {}, "data": "../x"}),
        ("probe", {"plan": {}, "data": DIGEST, "model": "../x", "manifest": {}}),
        ("probe", {"plan": {}, "data": DIGEST, "model": DIGEST, "manifest": 7}),
    ],
)
def test_malformed_requests_are_answered(
    session: Open, layout: Layout, op: str, fields: dict[str, Any]
) -> None:
    output = Path(layout.work, "bench", "output")
    pipes = session()
    if op != "claim":
        pipes.ask("claim", owner="me")
    output.mkdir(parents=True)
    (output / "file").write_text("x")
    (output / "link").symlink_to("/etc/hostname")
    kind, what = pipes.refused(op, **fields)
    assert kind in ("InvalidInput", "Refused") and "Traceback" not in what
    assert pipes.ask("hello").header["protocol"] == frames.PROTOCOL, "the session goes on"


def test_too_long_an_answer_is_an_error(session: Open) -> None:
    pipes = session()
    pipes.ask("claim", owner="me")
    many = {"sha256:" + hashlib.sha256(b"%d" % n).hexdigest(): 0 for n in range(11_000)}
    assert "too long" in pipes.refused("have", blobs=many)[1]


def test_requests_may_run_ahead_of_their_replies(session: Open) -> None:
    pipes = session()
    for _ in range(50):
        pipes.send({"op": "hello"})
    assert [pipes.receive().header["protocol"] for _ in range(50)] == [frames.PROTOCOL] * 50


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", struct.pack(">II", 5, 0) + b"notjs", b"\0\0"],
    ids=["http", "no json", "torn"],
)
def test_a_broken_frame_ends_the_session_in_words(session: Open, data: bytes) -> None:
    pipes = session()
    pipes.raw(data)
    code, err = pipes.end()
    assert code == 1 and len(err.splitlines()) == 1 and "Traceback" not in err


def test_a_host_that_goes_away_ends_the_session_quietly(session: Open) -> None:
    pipes = session()
    pipes.process.stdout.close()
    pipes.send({"op": "hello"})
    pipes.process.stdin.close()
    pipes.process.wait(10)
    assert b"Traceback" not in pipes.process.stderr.read()
    pipes.process.stderr.close()


def test_a_root_that_cant_be_made_is_told_in_words(agent: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-I", "-S", agent, "session", "--root", tmp_path / "file"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "can't prepare" in done.stderr


def snapshot(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([DIGEST, "../../escaped", "/etc/passwd", "a\0b", "", ".", "\ud800", "raw"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([DIGEST, "../x", "class"]), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = (
    "owner", "key", "class", "blobs", "config", "unpacked", "digest", "size", "offset",
    "encoding", "signature", "plan", "data", "name", "limit", "seq", "lines", "allow_downgrade",
)  # fmt: skip
HEADERS = st.builds(
    lambda op, fields: {**fields, "op": op},
    st.sampled_from(OPERATIONS) | VALUES,
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(headers=st.lists(HEADERS, min_size=1, max_size=40), payload=st.binary(max_size=50))
def test_any_headers_get_one_answer_each_and_touch_nothing_outside(
    agent: Path, tmp_path_factory: pytest.TempPathFactory, headers: list[Any], payload: bytes
) -> None:
    top = tmp_path_factory.mktemp("fuzz")
    sent = [frames.encode(Frame({"op": "claim", "owner": "me"}))]
    sent += [frames.encode(Frame(header, payload)) for header in headers]
    done = subprocess.run(
        [sys.executable, "-I", "-S", agent, "session", "--root", top / "a" / "root"],
        input=b"".join(sent), capture_output=True, timeout=60, check=False, cwd=top,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    replies, stream = [], BytesIO(done.stdout)
    while (frame := frames.read(stream)) is not None:
        replies.append(frame.header)
    assert len([reply for reply in replies if "progress" not in reply]) == len(sent)
    for reply in replies:
        error = reply.get("error", {"what": ""})
        assert "unexpected" not in error["what"], error
    outside = {path for path in snapshot(top) if not path.startswith(str(top / "a" / "root"))}
    assert outside == {str(top / "a")}


def test_the_agent_archive_is_deterministic_and_whole() -> None:
    data = archive()
    assert data == archive()
    with zipfile.ZipFile(BytesIO(data)) as opened:
        names = opened.namelist()
        assert {info.date_time for info in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    source = Path(__file__).parents[2] / "src"
    wanted = {
        str(path.relative_to(source))
        for package in ("yardarm_agent", "yardarm_wire")
        for path in (source / package).rglob("*.py")
    }
    assert set(names) == {"__main__.py", *wanted} and len(names) == len(set(names))
