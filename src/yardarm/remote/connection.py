"""A connection to one device: channels, and commands run to their end."""

from __future__ import annotations

import time

import paramiko

from yardarm.artifacts import Address
from yardarm.process import Completed
from yardarm.remote.failures import lost

CHANNEL_TIMEOUT = 15.0
CHUNK = 1 << 15


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
            channel = transport.open_session(timeout=CHANNEL_TIMEOUT)
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
