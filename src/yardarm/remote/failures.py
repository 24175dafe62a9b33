"""What went wrong with a connection, as errors that say what to try."""

from __future__ import annotations

import socket

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from yardarm.artifacts import Address
from yardarm.errors import Unreachable, VerificationFailed, YardarmError
from yardarm.remote import hostkeys

NO_KEY = "No authentication methods available"
"""What paramiko says, in an exception of no class of its own, when it has nothing to offer."""


def not_opened(address: Address, user: str, host: str, port: int, error: Exception) -> YardarmError:
    """The error for a connection that did not come about.

    Args:
        user, host, port: as the ssh config resolved them.
    """
    where = address.name
    match error:
        case hostkeys.UnknownHostKey():
            return VerificationFailed(
                f"the host key is not known: {error.fingerprint}",
                where=where,
                hint=hostkeys.how_to_accept(error),
            )
        case paramiko.BadHostKeyException():
            return _changed(where, hostkeys.entry(host, port), error)
        case paramiko.AuthenticationException():
            return Unreachable(
                f"authentication was refused for user {user}",
                where=where,
                hint="give the device your public key (ssh-copy-id), or name the right user",
            )
        case _ if NO_KEY in str(error):
            return Unreachable(
                "there is no key to log in with",
                where=where,
                hint="make one and give it to the device:\n"
                f"ssh-keygen -t ed25519 && ssh-copy-id {user}@{host}",
            )
    return Unreachable(
        f"can't connect to {host} port {port}: {_reason(error)}",
        where=where,
        hint="is the device on, on this network, and is sshd running there?",
    )


def _changed(where: str, entry: str, error: paramiko.BadHostKeyException) -> VerificationFailed:
    return VerificationFailed(
        f"the host key has CHANGED: it is {hostkeys.fingerprint(error.key)}, "
        f"known is {hostkeys.fingerprint(error.expected_key)}",
        where=where,
        hint="somebody may be listening; if the device was set up anew, remove the old key:\n"
        f"ssh-keygen -R {entry}",
    )


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
