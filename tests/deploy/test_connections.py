"""Devices that can't be reached or don't let us in: which error, with which hint."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_rig import Rig
from lab_fixtures import on
from yardarm import deploy
from yardarm.artifacts import Address
from yardarm.errors import Refused, Unreachable, VerificationFailed, YardarmError
from yardarm.remote import connect

pytestmark = pytest.mark.root


def failure(address: Address) -> YardarmError:
    with pytest.raises(YardarmError) as raised, connect(address):
        pass
    return raised.value


def key(folder: Path, name: str) -> Path:
    file = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file


def test_an_unknown_host_key_is_refused_with_its_fingerprint(rig: Rig, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    error = failure(dataclasses.replace(rig.address, known_hosts=empty))
    assert isinstance(error, VerificationFailed)
    assert "not known: ssh-ed25519 SHA256:" in error.what
    assert f">> {empty}" in error.hint and "mkdir" not in error.hint
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in error.hint


def test_a_changed_host_key_is_refused(rig: Rig, tmp_path: Path) -> None:
    public = key(tmp_path, "other").with_suffix(".pub").read_text().split()
    wrong = tmp_path / "known_hosts"
    wrong.write_text(f"{rig.address.hostname} {public[0]} {public[1]}\n")
    error = failure(dataclasses.replace(rig.address, known_hosts=wrong))
    assert isinstance(error, VerificationFailed)
    assert "CHANGED" in error.what and "ssh-keygen -R" in error.hint


def test_a_refused_login(rig: Rig, tmp_path: Path) -> None:
    error = failure(dataclasses.replace(rig.address, identity=key(tmp_path, "stranger")))
    assert isinstance(error, Unreachable) and "authentication was refused" in error.what


def test_no_key_at_all(rig: Rig) -> None:
    """Tests have a home of their own, which holds none."""
    error = failure(dataclasses.replace(rig.address, identity=None))
    assert isinstance(error, Unreachable) and error.what == "there is no key to log in with"
    assert f"ssh-copy-id root@{rig.address.hostname}" in error.hint


def test_nobody_listens(rig: Rig) -> None:
    error = failure(dataclasses.replace(rig.address, port=2))
    assert isinstance(error, Unreachable) and "port 2" in error.what


def test_a_host_that_says_nothing(rig: Rig, silent_port: int) -> None:
    known = Address("quiet", "127.0.0.1", silent_port, "root", known_hosts=rig.address.known_hosts)
    error = failure(known)
    assert isinstance(error, Unreachable)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts and closes: no SSH there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        import threading

        def refuse() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=refuse, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_no_python_on_the_device(rig: Rig) -> None:
    on(rig.address, "mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        with connect(rig.address) as connection, pytest.raises(Refused, match="no python3"):
            deploy.place(connection)
    finally:
        on(rig.address, "mv /usr/bin/python3.away /usr/bin/python3")
