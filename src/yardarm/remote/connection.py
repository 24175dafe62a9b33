"""SSH connections through Fabric (ssh config, aliases, ProxyJump) over paramiko."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from yardarm.artifacts import Address
from yardarm.errors import Unreachable, VerificationFailed
from yardarm.remote import hostkeys

if TYPE_CHECKING:
    import fabric

CONNECT_TIMEOUT = 15.0
KEEPALIVE = 10
NO_KEY = "No authentication methods available"
"""What paramiko says, in an exception of no class of its own, when it has nothing to offer."""

CHUNK = 1 << 15
SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True)
class Completed:
    """What a command on the device left: exit code, stdout, stderr."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")


def _transport(*arguments: Any, **keywords: Any) -> paramiko.Transport:
    """One that prefers AES-GCM, which needs no second pass for a MAC; paramiko itself offers
    it last."""
    transport = paramiko.Transport(*arguments, **keywords)
    options = transport.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
    return transport


class Connection:
    """An authenticated SSH connection to one device."""

    def __init__(self, address: Address, client: paramiko.SSHClient) -> None:
        self.address = address
        self._client = client

    def channel(self, command: str) -> paramiko.Channel:
        """A new channel that runs `command`.

        Raises:
            Unreachable: the connection is gone.
        """
        transport = self._client.get_transport()
        try:
            if transport is None:
                raise EOFError
            channel = transport.open_session(timeout=CONNECT_TIMEOUT)
            channel.exec_command(command)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise lost(self.address, error) from None
        return channel

    def run(self, command: str, *, timeout: float = 60.0, stdin: bytes = b"") -> Completed:
        """Run a shell command to its end.

        Args:
            timeout: seconds that the command may take.

        Raises:
            Unreachable: the connection broke, or the device fell silent.
        """
        channel = self.channel(command)
        channel.settimeout(timeout)
        try:
            return _converse(channel, stdin, time.monotonic() + timeout)
        except (TimeoutError, OSError, EOFError, paramiko.SSHException) as error:
            raise lost(self.address, error) from None
        finally:
            channel.close()


def _converse(channel: paramiko.Channel, stdin: bytes, deadline: float) -> Completed:
    """Feed stdin while stdout and stderr are drained, so that neither side can block."""
    out, err, sent = bytearray(), bytearray(), 0
    if not stdin:
        channel.shutdown_write()
    while True:
        idle = True
        if sent < len(stdin) and channel.send_ready():
            sent += channel.send(stdin[sent : sent + CHUNK])
            idle = False
            if sent == len(stdin):
                channel.shutdown_write()
        if channel.recv_ready():
            out += channel.recv(CHUNK)
            idle = False
        if channel.recv_stderr_ready():
            err += channel.recv_stderr(CHUNK)
            idle = False
        if not idle:
            continue
        if channel.exit_status_ready() and not (
            channel.recv_ready() or channel.recv_stderr_ready()
        ):
            return Completed(channel.recv_exit_status(), bytes(out), bytes(err))
        if channel.closed or time.monotonic() > deadline:
            raise TimeoutError("the device did not answer in time")
        time.sleep(0.002)


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
    except hostkeys.UnknownHostKey as error:
        raise VerificationFailed(
            f"the host key is not known: {error.fingerprint}",
            where=address.name,
            hint=hostkeys.how_to_accept(error),
        ) from None
    except paramiko.BadHostKeyException as error:
        raise VerificationFailed(
            f"the host key has CHANGED: it is {hostkeys.fingerprint(error.key)}, "
            f"known is {hostkeys.fingerprint(error.expected_key)}",
            where=address.name,
            hint="somebody may be listening; if the device was set up anew, remove the old key:\n"
            f"ssh-keygen -R {hostkeys.entry(connection.host, connection.port)}",
        ) from None
    except paramiko.AuthenticationException:
        raise Unreachable(
            f"authentication was refused for user {connection.user}",
            where=address.name,
            hint="give the device your public key (ssh-copy-id), or name the right user",
        ) from None
    except (paramiko.SSHException, OSError, EOFError) as error:
        if NO_KEY in str(error):
            raise Unreachable(
                "there is no key to log in with",
                where=address.name,
                hint="make one and give it to the device:\n"
                f"ssh-keygen -t ed25519 && ssh-copy-id {connection.user}@{connection.host}",
            ) from None
        raise Unreachable(
            f"can't connect to {connection.host} port {connection.port}: {_reason(error)}",
            where=address.name,
            hint="is the device on, on this network, and is sshd running there?",
        ) from None
    transport = connection.client.get_transport()
    if transport is not None:
        transport.set_keepalive(KEEPALIVE)


def lost(address: Address, error: BaseException) -> Unreachable:
    """The error for a connection that broke while it was used."""
    return Unreachable(
        f"the connection was lost: {_reason(error)}",
        where=address.name,
        hint="run the command again: what has arrived is kept",
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "the name can't be resolved"
    if isinstance(error, NoValidConnectionsError):  # one OSError for each address that was tried
        return "; ".join(sorted({_reason(cause) for cause in error.errors.values()}))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
