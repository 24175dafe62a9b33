"""SSH connections opened through Fabric (ssh config, aliases, ProxyJump) over paramiko."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko

from yardarm.artifacts import Address
from yardarm.remote import hostkeys
from yardarm.remote.connection import Connection
from yardarm.remote.failures import not_opened

if TYPE_CHECKING:
    import fabric

CONNECT_TIMEOUT = 15.0
KEEPALIVE = 10
SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


@contextmanager
def connect(address: Address) -> Iterator[Connection]:
    """Open a connection, and close it at the end of the block.

    Raises:
        Unreachable: no such host, refused, timed out, or authentication failed.
        VerificationFailed: the host key is unknown or has changed.
    """
    connection = _fabric(address)
    try:
        _open(address, connection)
        yield Connection(address, connection.client)
    finally:
        connection.close()


def _fabric(address: Address) -> fabric.Connection:
    """A Fabric connection that never accepts a host key by itself."""
    import fabric

    keywords: dict[str, Any] = {
        "banner_timeout": 30,
        "auth_timeout": 30,
        "transport_factory": _transport,
    }
    if address.identity:
        keywords |= {
            "key_filename": str(address.identity),
            "look_for_keys": False,
            "allow_agent": False,
        }
    connection = fabric.Connection(
        address.hostname,
        user=address.user,
        port=address.port if address.port != 22 else None,
        connect_timeout=CONNECT_TIMEOUT,
        connect_kwargs=keywords,
    )
    files = [address.known_hosts] if address.known_hosts else _known_hosts(connection.ssh_config)
    alias = None if address.known_hosts else connection.ssh_config.get("hostkeyalias")
    connection.client.set_missing_host_key_policy(hostkeys.Refuse(files[0]))
    for file in files:
        if file.is_file():
            connection.client.load_system_host_keys(str(file))
    if alias:
        _know_by(alias, hostkeys.entry(connection.host, connection.port), connection.client)
    return connection


def _known_hosts(config: Mapping[str, Any]) -> list[Path]:
    """The user's files, as the ssh config names them, and the system's."""
    own = str(config.get("userknownhostsfile", "~/.ssh/known_hosts")).split()
    return [*(Path(name).expanduser() for name in own), SYSTEM_KNOWN_HOSTS]


def _know_by(alias: str, name: str, client: paramiko.SSHClient) -> None:
    """Have the keys that are known under `alias` count, and no others, for this host."""
    known = client._system_host_keys  # type: ignore[attr-defined]  # no public way to read them
    keys = dict(known.lookup(alias) or {})
    known.clear()
    for kind, key in keys.items():
        known.add(name, kind, key)


def _open(address: Address, connection: fabric.Connection) -> None:
    try:
        connection.open()
    except (paramiko.SSHException, OSError, EOFError) as error:
        user, host, port = connection.user, connection.host, connection.port
        raise not_opened(address, user, host, port, error) from None
    transport = connection.client.get_transport()
    if transport is not None:
        transport.set_keepalive(KEEPALIVE)


def _transport(*arguments: Any, **keywords: Any) -> paramiko.Transport:
    """One that prefers AES-GCM, which needs no second pass for a MAC; paramiko itself offers
    it last."""
    transport = paramiko.Transport(*arguments, **keywords)
    options = transport.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
    return transport
