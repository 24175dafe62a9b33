"""Agents of tests: a root, a trusted key, and real sessions that deploy stand-ins onto it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from yardarm import signing
from yardarm.deploy.agent import archive
from yardarm_agent import daemon, supervisor
from yardarm_agent.layout import Layout
from yardarm_wire import frames
from yardarm_wire.frames import Frame

SOURCE = Path(__file__).parents[1] / "src"
STUB = Path(__file__).parent / "agent" / "stub_release.py"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(str(tmp_path / "root"))
    made.prepare()
    return made


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """agent.pyz, in a folder that any user may enter."""
    file = tmp_path_factory.mktemp("agent") / "agent.pyz"
    file.write_bytes(archive())
    return file


class Pipes:
    """The host's side of a session whose agent is a real process."""

    def __init__(self, agent: Path, root: str, python: str, path: str) -> None:
        self.process = subprocess.Popen(
            [python, "-I", "-S", str(agent), "session", "--root", root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}"},
        )

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        self.raw(frames.encode(Frame(header, payload)))

    def raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def receive(self) -> Frame:
        assert self.process.stdout is not None
        frame = frames.read(self.process.stdout)
        assert frame is not None, "the session ended"
        return frame

    def ask(self, op: str, payload: bytes = b"", /, **fields: Any) -> Frame:
        self.send({"op": op, **fields}, payload)
        return self.receive()

    def refused(self, op: str, payload: bytes = b"", /, **fields: Any) -> tuple[str, str]:
        """Kind and text of the error that a request gets."""
        header = self.ask(op, payload, **fields).header
        assert set(header) == {"error"}, header
        return header["error"]["kind"], header["error"]["what"]

    def end(self) -> tuple[int, str]:
        """Close stdin; exit code and stderr."""
        _out, err = self.process.communicate(timeout=20)
        return self.process.returncode, err.decode()


Open = Callable[..., Pipes]


@pytest.fixture
def session(agent: Path, layout: Layout) -> Iterator[Open]:
    """Open sessions on the layout's root. Each must end well: no traceback, code 0."""
    opened: list[Pipes] = []

    def start(
        python: str = sys.executable, root: str = layout.root, path: str = "/nowhere"
    ) -> Pipes:
        opened.append(Pipes(agent, root, python, path))
        return opened[-1]

    yield start
    for pipes in opened:
        if pipes.process.returncode is None:
            assert pipes.end() == (0, "")


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Device:
    """A root, a trusted key, and a session that deploys onto it."""

    def __init__(self, layout: Layout, key: signing.SigningKey, open_session: Callable[[], Any]):
        self.layout = layout
        self.key = key
        self._open = open_session
        self.pipes = self.session()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._version = 0

    def session(self) -> Any:
        pipes = self._open()
        pipes.ask("claim", owner="test")
        pipes.ask("trust", key=self.key.public, **{"class": "pi"})
        return pipes

    def put(self, data: bytes) -> str:
        digest = digest_of(data)
        fields = {"digest": digest, "size": len(data), "offset": 0, "encoding": "raw"}
        if not self.pipes.ask("have", blobs={digest: len(data)}).header["blobs"][digest][
            "complete"
        ]:
            self.pipes.ask("put", data, **fields)
            self.pipes.ask("seal", digest=digest)
        return digest

    def prepare(
        self,
        behaviour: str,
        *,
        deadline: float = 15,
        model: bytes = b"model",
        target: str = "onnxruntime",
        files: Mapping[str, bytes] | None = None,
    ) -> Any:
        """The reply to `prepare` of a new release that behaves so, progress left out."""
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            info = tarfile.TarInfo("behaviour")
            info.size = len(behaviour)
            archive.addfile(info, io.BytesIO(behaviour.encode()))
        config = {"config": {"Env": [], "Entrypoint": ["program"]}, "is": behaviour}
        self._version += 1
        manifest = json.dumps({"target": target, "tensorrt": {"version": "10.3"}}).encode()
        bundle = files or {"model.onnx": model, "manifest.json": manifest}
        blobs = {
            name: {"digest": self.put(data), "size": len(data)} for name, data in bundle.items()
        }
        release = {
            "schema": "yardarm.release/1", "project": "p", "device_classes": ["pi"],
            "version": self._version, "signed_at": self._version, "not_after": None,
            "image": {
                "config": self.put(json.dumps(config).encode()),
                "layers": [
                    {"digest": self.put(layer.getvalue()), "size": len(layer.getvalue())}
                ],
            },
            "bundles": {"main": {"files": blobs}},
            "run": {"mode": "serve", "port": self.port, "threads": 1},
            "health": {"deadline_s": deadline},
            "telemetry": {"interval": 5},
        }  # fmt: skip
        payload = json.dumps(release).encode()
        signature = signing.sign(self.key, payload).decode()
        self.signed = payload, signature
        return self.prepare_again()

    def prepare_again(self) -> Any:
        """The same for the release that was prepared last."""
        payload, signature = self.signed
        self.pipes.send({"op": "prepare", "signature": signature}, payload)
        while "progress" in (reply := self.pipes.receive().header):
            pass
        return reply

    def deploy(self, behaviour: str, **options: Any) -> tuple[str, dict[str, Any]]:
        """Digest of the release, and the reply to `activate`."""
        digest = self.prepare(behaviour, **options)["digest"]
        return digest, self.pipes.ask("activate", digest=digest).header

    def model(self) -> str | None:
        """The model of whatever answers on the port."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as got:
                return str(json.load(got)["model"])
        except OSError:
            return None

    @property
    def current(self) -> str | None:
        return self.layout.active(self.layout.current)

    @property
    def previous(self) -> str | None:
        return self.layout.active(self.layout.previous)


def tool(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def tools(folder: Path) -> Path:
    """What a release of the stand-in needs of a device, as a folder for PATH. The power mode is
    what a file there says, if anything."""
    folder.mkdir()
    tool(folder / "unshare", f'exec {sys.executable} -S {STUB} "$@"')
    tool(folder / "nvpmodel", f"cat {folder}/power-mode 2>/dev/null")
    return folder


def power_mode(tools: Path, mode: str) -> None:
    (tools / "power-mode").write_text(f"NV Power Mode: {mode}\n1\n")


def stop(layout: Layout) -> None:
    """End what an activation has left running."""
    for name in ("supervisor", "telemetry"):
        daemon.stop(layout, name)
    supervisor.end_stale(layout)


@pytest.fixture
def device(layout: Layout, session: Callable[..., Any], tmp_path: Path) -> Iterator[Device]:
    path = str(tools(tmp_path / "bin"))
    key, _new = signing.load_or_make(tmp_path / "key")
    yield Device(layout, key, lambda: session(path=path))
    stop(layout)


def service(device: Device) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(Path(device.layout.run, "service.json").read_text())
    return body


def serving(device: Device) -> str | None:
    """The release whose service lives."""
    try:
        body = service(device)
    except FileNotFoundError:
        return None
    return body["release"] if supervisor.birth(body["pid"]) == body["born"] else None


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
