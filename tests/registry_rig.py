"""Registries on loopback: Debian's `docker-registry`, and a relay that cuts connections.

The registry is the distribution project's, version 2.8: no referrers API.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import bcrypt
import pytest

PROGRAM = "docker-registry"
USER, PASSWORD = "ann", "correct horse"


def need(program: str) -> None:
    """Skip where a program is not installed; CI has them all."""
    if shutil.which(program) is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI skips nothing, but {program} is not installed")
        pytest.skip(f"{program} is not installed; scripts/setup installs it on Debian")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def registry(
    folder: Path, *, users: bool = False, certificate: Path | None = None
) -> Iterator[str]:
    """A real registry in a folder of its own; yields host:port.

    Args:
        users: only `USER` with `PASSWORD` is let in.
        certificate: a PEM file with certificate and key: the registry speaks TLS.
    """
    need(PROGRAM)
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{free_port()}"
    settings = folder / "config.yml"
    settings.write_text(json.dumps(_settings(folder, address, users, certificate)))
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [PROGRAM, "serve", str(settings)], stdout=log, stderr=log, cwd=folder
        )
    try:
        _await(address, running)
        yield address
    finally:
        running.terminate()
        running.wait(10)


def _settings(folder: Path, address: str, users: bool, certificate: Path | None) -> object:
    """JSON is YAML, too."""
    listen: dict[str, object] = {"addr": address, "secret": "of this test alone"}
    if certificate:
        listen["tls"] = {"certificate": str(certificate), "key": str(certificate)}
    body: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": listen,
    }
    if users:
        file = folder / "htpasswd"
        file.write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}\n")
        body["auth"] = {"htpasswd": {"realm": "test", "path": str(file)}}
    return body


def _await(address: str, running: subprocess.Popen[bytes]) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and running.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("the registry does not start")


class Relay:
    """Passes TCP on to `address`, and cuts a connection after so many bytes in one direction.

    Attributes:
        cuts: how many connections are still cut.
        down, up: bytes from and to the registry after which one is; None: never.
    """

    def __init__(self, address: str) -> None:
        self._target = address.partition(":")[0], int(address.partition(":")[2])
        self.cuts = 0
        self.down: int | None = None
        self.up: int | None = None
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer.pass_on(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def pass_on(self, client: socket.socket) -> None:
        with socket.create_connection(self._target) as registry:
            back = threading.Thread(target=self._pump, args=(registry, client, "down"))
            back.start()
            self._pump(client, registry, "up")
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, way: str) -> None:
        moved = 0
        try:
            while data := source.recv(16384):
                target.sendall(data)
                moved += len(data)
                limit = getattr(self, way)
                if self.cuts > 0 and limit is not None and moved > limit:
                    self.cuts -= 1
                    break
        except OSError:
            pass
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def status(address: str, path: str) -> int:
    """What a plain client is answered."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
