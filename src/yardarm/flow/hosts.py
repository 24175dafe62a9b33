"""What a user calls a device, resolved to an address."""

from __future__ import annotations

import re

from yardarm import lab
from yardarm.artifacts import Address
from yardarm.errors import UsageError

_HOST = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[0-9A-Fa-f:]+\]|[^@:\s]+)(?::(?P<port>\d+))?"
)

HIGHEST_PORT = 65535


def resolve(host: str) -> Address:
    """`lab:NAME`, or `[user@]host[:port]` where host may be an alias of the ssh config.

    Raises:
        UsageError: it is neither, or its port is none.
        Unreachable: a lab device that is not up.
    """
    if host.startswith("lab:"):
        return lab.address(host.removeprefix("lab:"))
    match = _HOST.fullmatch(host)
    if match is None or host.startswith("-"):
        raise UsageError(f"not a host: {host!r}", hint="lab:NAME, user@host or user@host:port")
    port = int(match["port"] or 22)
    if not 1 <= port <= HIGHEST_PORT:
        raise UsageError(
            f"not a port: {match['port']}", where=host, hint=f"ports are 1 to {HIGHEST_PORT}"
        )
    return Address(host, match["host"].strip("[]"), port, match["user"])
