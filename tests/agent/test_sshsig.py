"""Release signatures: ours and OpenSSH's are the same thing, and nothing else passes."""

from __future__ import annotations

import base64
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yardarm import signing
from yardarm_agent import sshsig

SPACE = signing.NAMESPACE
MESSAGE = b'{"version":1}\n' * 5


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> signing.SigningKey:
    return signing.load_or_make(tmp_path_factory.mktemp("keys") / "release")[0]


def trusted(key: signing.SigningKey) -> list[bytes]:
    blob = sshsig.public_key(key.public + " a comment\n")
    assert blob is not None
    return [blob]


def ssh_keygen(*arguments: str | Path, data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["ssh-keygen", "-Y", *arguments], input=data, capture_output=True, timeout=20, check=False
    )


def test_our_signature_verifies(key: signing.SigningKey) -> None:
    assert sshsig.verify(MESSAGE, signing.sign(key, MESSAGE), SPACE, trusted(key))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_signature_of_ssh_keygen_verifies(key: signing.SigningKey, algorithm: str) -> None:
    made = ssh_keygen(
        "sign", "-f", key.file, "-n", SPACE, "-O", f"hashalg={algorithm}", data=MESSAGE
    )
    assert made.returncode == 0, made.stderr
    assert sshsig.verify(MESSAGE, made.stdout, SPACE, trusted(key))
    assert not sshsig.verify(MESSAGE + b"x", made.stdout, SPACE, trusted(key))


def test_ssh_keygen_accepts_ours(key: signing.SigningKey, tmp_path: Path) -> None:
    (tmp_path / "allowed").write_text(f"releases {key.public}\n")
    (tmp_path / "sig").write_bytes(signing.sign(key, MESSAGE))
    names = ("-f", tmp_path / "allowed", "-I", "releases", "-n", SPACE, "-s", tmp_path / "sig")
    assert ssh_keygen("verify", *names, data=MESSAGE).returncode == 0
    assert ssh_keygen("verify", *names, data=MESSAGE + b"x").returncode != 0


def test_another_namespace_is_refused(key: signing.SigningKey) -> None:
    other = signing.sign(key, MESSAGE, "file")
    assert not sshsig.verify(MESSAGE, other, SPACE, trusted(key))
    assert sshsig.verify(MESSAGE, other, "file", trusted(key))


def test_another_key_is_refused(key: signing.SigningKey, tmp_path: Path) -> None:
    other, _new = signing.load_or_make(tmp_path / "other")
    assert not sshsig.verify(MESSAGE, signing.sign(other, MESSAGE), SPACE, trusted(key))
    assert not sshsig.verify(MESSAGE, signing.sign(key, MESSAGE), SPACE, [])


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_tampered_byte_of_the_signature_is_refused(
    key: signing.SigningKey, at: int, byte: int
) -> None:
    whole = signing.sign(key, MESSAGE)
    tampered = bytearray(whole)
    tampered[at % len(whole)] = byte
    same = bytes(tampered).split() == whole.split()  # how lines end is nobody's concern
    assert sshsig.verify(MESSAGE, bytes(tampered), SPACE, trusted(key)) == same


def test_unused_bits_of_the_armor_are_refused(key: signing.SigningKey) -> None:
    """The last letter before the padding carries two bits that no byte needs."""
    text = signing.sign(key, MESSAGE).decode()
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    at = text.index("=")
    other = letters[letters.index(text[at - 1]) ^ 1]
    assert not sshsig.verify(
        MESSAGE, (text[: at - 1] + other + text[at:]).encode(), SPACE, trusted(key)
    )


@settings(max_examples=30, deadline=None)
@given(at=st.integers(0, len(MESSAGE) - 1), byte=st.integers(1, 255))
def test_a_tampered_byte_of_the_message_is_refused(
    key: signing.SigningKey, at: int, byte: int
) -> None:
    tampered = bytearray(MESSAGE)
    tampered[at] ^= byte
    assert not sshsig.verify(bytes(tampered), signing.sign(key, MESSAGE), SPACE, trusted(key))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_quietly(data: bytes) -> None:
    armored = b"\n".join([sshsig.BEGIN.encode(), base64.b64encode(data), sshsig.END.encode()])
    with_magic = base64.b64encode(b"SSHSIG\0\0\0\1" + data)
    for text in (data, armored, armored.replace(base64.b64encode(data), with_magic, 1)):
        assert not sshsig.verify(MESSAGE, text, SPACE, [b"key"])


def line_of(key: bytes) -> str:
    blob = struct.pack(">I", 11) + b"ssh-ed25519" + struct.pack(">I", len(key)) + key
    return "ssh-ed25519 " + base64.b64encode(blob).decode()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!",
        "ssh-ed25519 ключ",
        "ssh-ed25519 AAAA",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB",
        "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\4keys").decode(),
        "ssh-ed25519 "
        + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20\1" + bytes(31)).decode(),
    ],
    ids=["nothing", "no key", "no base64", "no ascii", "short", "rsa", "4 bytes", "small order"],
)
def test_what_is_no_usable_key_is_none(line: str) -> None:
    assert sshsig.public_key(line) is None
