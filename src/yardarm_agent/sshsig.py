"""Signatures as `ssh-keygen -Y sign` writes them (OpenSSH's PROTOCOL.sshsig)."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import List

from yardarm_agent import ed25519

MAGIC = b"SSHSIG"
KEY_TYPE = b"ssh-ed25519"
BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"


def public_key(line: str) -> "bytes | None":
    """The key blob of a `ssh-ed25519 AAAA… comment` line; None for anything else."""
    parts = line.split()
    if len(parts) < 2 or parts[0] != KEY_TYPE.decode():
        return None
    try:
        blob = base64.b64decode(parts[1], validate=True)
        key_type, public = _strings(blob, 2)
    except (ValueError, struct.error):
        return None
    return blob if key_type == KEY_TYPE and ed25519.usable(public) else None


def verify(message: bytes, armored: bytes, namespace: str, trusted: List[bytes]) -> bool:
    """Whether one of the trusted key blobs signed `message` in `namespace`."""
    try:
        return _verify(message, armored, namespace, trusted)
    except (ValueError, struct.error):
        return False


def _verify(message: bytes, armored: bytes, namespace: str, trusted: List[bytes]) -> bool:
    lines = [line.strip() for line in armored.decode("ascii").strip().splitlines()]
    if len(lines) < 3 or lines[0] != BEGIN or lines[-1] != END:
        return False
    text = "".join(lines[1:-1])
    blob = base64.b64decode(text, validate=True)
    if base64.b64encode(blob).decode() != text:
        return False  # bits that no byte needs: a signature has one spelling
    if blob[:6] != MAGIC or struct.unpack(">I", blob[6:10])[0] != 1:
        return False
    key, space, reserved, algorithm, signature = _strings(blob[10:], 5)
    key_type, public = _strings(key, 2)
    signature_type, raw = _strings(signature, 2)
    known = key in trusted and key_type == signature_type == KEY_TYPE
    if not known or space.decode("ascii") != namespace or algorithm not in (b"sha256", b"sha512"):
        return False
    hashed = hashlib.new(algorithm.decode(), message).digest()
    signed = MAGIC + b"".join(_string(part) for part in (space, reserved, algorithm, hashed))
    return ed25519.verify(public, signed, raw)


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _strings(data: bytes, count: int) -> List[bytes]:
    """Exactly `count` length-prefixed strings that fill `data`; ValueError otherwise."""
    parts, at = [], 0
    for _ in range(count):
        size = struct.unpack(">I", data[at : at + 4])[0]
        part = data[at + 4 : at + 4 + size]
        if len(part) != size:
            raise ValueError("a string ends early")
        parts.append(part)
        at += 4 + size
    if at != len(data):
        raise ValueError("bytes left over")
    return parts
