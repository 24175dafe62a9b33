"""Where host keys are looked up: the files that OpenSSH would look into."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import sshd
from yardarm.artifacts import Address
from yardarm.errors import Unreachable, VerificationFailed
from yardarm.remote import connect, opening


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(opening, "SYSTEM_KNOWN_HOSTS", tmp_path / "etc" / "ssh_known_hosts")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "keys").mkdir()
    return tmp_path


def greeted(address: Address, hostname: str = "") -> bool:
    """Whether the host key is accepted, without known_hosts named by the address."""
    bare = dataclasses.replace(address, known_hosts=None, hostname=hostname or address.hostname)
    if hostname:
        bare = dataclasses.replace(bare, port=22)
    try:
        with connect(bare) as opened:
            return opened.run("true").code == 0
    except VerificationFailed:
        return False


def test_the_systems_file_counts(home: Path) -> None:
    with sshd.serving(home / "keys") as address:
        assert not greeted(address)
        (home / "etc" / "ssh_known_hosts").write_text((home / "keys" / "known").read_text())
        assert greeted(address)


def test_the_ssh_configs_file_and_alias_count(home: Path) -> None:
    with sshd.serving(home / "keys") as address:
        config = (
            f"Host board\n HostName 127.0.0.1\n Port {address.port}\n"
            f" UserKnownHostsFile ~/boards /dev/null\n HostKeyAlias the-board\n"
        )
        (home / ".ssh" / "config").write_text(config)
        assert not greeted(address, "board")
        key = (home / "keys" / "host.pub").read_text()
        (home / "boards").write_text(f"the-board {key}")
        assert greeted(address, "board")


def test_nobody_there_reads_well(home: Path) -> None:
    with pytest.raises(Unreachable) as raised, connect(Address("x", "127.0.0.1", 2, "root")):
        pass
    assert "Errno" not in str(raised.value) and "refused" in str(raised.value)
