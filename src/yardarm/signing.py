"""Signing keys, and signatures as `ssh-keygen -Y sign` makes them (PROTOCOL.sshsig)."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from yardarm import paths
from yardarm.errors import InvalidInput
from yardarm.store import exclusive
from yardarm_wire.files import FILES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NAMESPACE = "yardarm-release"
MAGIC = b"SSHSIG"
ARMOR_WIDTH = 70


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 key. `public` is its line in OpenSSH's format, without a comment."""

    file: Path
    private: Ed25519PrivateKey
    public: str


def default_file() -> Path:
    """`$YARDARM_SIGNING_KEY`, or `keys/release` in the user's configuration."""
    chosen = os.environ.get("YARDARM_SIGNING_KEY")
    return Path(chosen) if chosen else paths.config() / "keys" / "release"


def load_or_make(file: Path | None = None) -> tuple[SigningKey, bool]:
    """The user's signing key, made at its first use; and whether it was made now.

    Args:
        file: where it is or will be. Default: as `default_file` says; a key that
            `$YARDARM_SIGNING_KEY` names is never made, since the name may be mistyped.

    Raises:
        InvalidInput: the file holds no unencrypted ssh-ed25519 private key, or
            `$YARDARM_SIGNING_KEY` names none.
    """
    known = load(file)
    if known:
        return known, False
    path = file or default_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with exclusive(path.with_name(f".{path.name}.lock"), "make the signing key", wait=10.0):
        known = load(file)
        return (known, False) if known else (_make(path), True)


def load(file: Path | None = None) -> SigningKey | None:
    """The user's signing key; None where it was not made yet. Raises as `load_or_make` does."""
    path = file or default_file()
    if path.exists():
        return _load(path)
    if file is None and os.environ.get("YARDARM_SIGNING_KEY"):
        raise InvalidInput(
            "there is no signing key",
            where=str(path),
            hint="$YARDARM_SIGNING_KEY names it: correct or unset it, or make the key:\n"
            f"ssh-keygen -t ed25519 -N '' -f {shlex.quote(str(path))}",
        )
    return None


def _make(path: Path) -> SigningKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    key = SigningKey(path, private, _public_line(private))
    FILES.write(f"{path}.pub", f"{key.public} yardarm-release\n".encode())
    FILES.write(str(path), text, 0o600)
    return key


def _load(path: Path) -> SigningKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        private = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise InvalidInput(f"no usable private key: {error.strerror}", where=str(path)) from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput(f"no usable private key: {error}", where=str(path)) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise InvalidInput(
            "not an ssh-ed25519 key",
            where=str(path),
            hint="ssh-keygen -t ed25519 -N '' -f FILE makes one",
        )
    return SigningKey(path, private, _public_line(private))


def _public_line(private: Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    return (
        private.public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        .decode()
    )


def sign(key: SigningKey, message: bytes, namespace: str = NAMESPACE) -> bytes:
    """The armored signature over `message`, which `ssh-keygen -Y verify` accepts."""
    fields = _string(namespace.encode()) + _string(b"") + _string(b"sha512")
    raw = key.private.sign(MAGIC + fields + _string(hashlib.sha512(message).digest()))
    public = base64.b64decode(key.public.split()[1])
    blob = MAGIC + struct.pack(">I", 1) + _string(public) + fields
    blob += _string(_string(b"ssh-ed25519") + _string(raw))
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + ARMOR_WIDTH] for at in range(0, len(text), ARMOR_WIDTH)]
    armored = ["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""]
    return "\n".join(armored).encode()


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
