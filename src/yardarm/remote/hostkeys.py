"""Host keys are checked strictly: an unknown or changed one is refused and explained."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import paramiko


def fingerprint(key: paramiko.PKey) -> str:
    """As OpenSSH prints it: `ssh-ed25519 SHA256:…`."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


def entry(host: str, port: int | None) -> str:
    """The host's name in known_hosts, which includes a port other than 22."""
    return host if port in (None, 22) else f"[{host}]:{port}"


class UnknownHostKey(paramiko.SSHException):
    """The host's key is in no known_hosts file."""

    def __init__(self, host: str, key: paramiko.PKey, known_hosts: Path) -> None:
        super().__init__(host)
        self.host = host
        self.fingerprint = fingerprint(key)
        self.line = f"{host} {key.get_name()} {key.get_base64()}"
        self.known_hosts = known_hosts
        self.kind = key.get_name().removeprefix("ssh-").split("-")[0]


class Refuse(paramiko.MissingHostKeyPolicy):
    """Refuses every host whose key we don't know."""

    def __init__(self, known_hosts: Path) -> None:
        self._known_hosts = known_hosts

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        raise UnknownHostKey(hostname, key, self._known_hosts)


def how_to_accept(error: UnknownHostKey) -> str:
    folder = error.known_hosts.parent
    make = "" if folder.is_dir() else f"mkdir -p -m 700 {folder} && "
    return (
        "compare it with what this prints on the device, and add it if it is the same:\n"
        f"ssh-keygen -lf /etc/ssh/ssh_host_{error.kind}_key.pub    # on the device\n"
        f"{make}echo '{error.line}' >> {error.known_hosts}"
    )
