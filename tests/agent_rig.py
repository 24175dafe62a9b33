"""Agents of tests: a root, a trusted key, and real sessions that deploy stand-ins onto it."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from yardarm import signing
from yardarm_agent import daemon, supervisor
from yardarm_agent.layout import Layout

SOURCE = Path(__file__).parents[1] / "src"
STUB = Path(__file__).parent / "agent" / "stub_release.py"


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
        files = {
            name: {"digest": self.put(data), "size": len(data)}
            for name, data in (("model.onnx", model), ("manifest.json", manifest))
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
            "bundles": {"main": {"files": files}},
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


@pytest.fixture
def device(layout: Layout, session: Callable[..., Any], tmp_path: Path) -> Iterator[Device]:
    tools = tmp_path / "bin"
    tools.mkdir()
    tool(tools / "unshare", f'YARDARM_TESTED={SOURCE} exec {sys.executable} -S {STUB} "$@"')
    tool(tools / "nvpmodel", f"cat {tools}/power-mode 2>/dev/null")
    key, _new = signing.load_or_make(tmp_path / "key")
    yield Device(layout, key, lambda: session(path=str(tools)))
    for name in ("supervisor", "telemetry"):
        daemon.stop(layout, name)
    supervisor.end_stale(layout)


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
