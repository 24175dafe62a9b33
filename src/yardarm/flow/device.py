"""A device opened for work: connected, its facts known, its profile found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from yardarm import deploy, matching, profiles
from yardarm.artifacts import EMULATED, Facts
from yardarm.errors import Refused
from yardarm.events import Note, Sink
from yardarm.flow import hosts
from yardarm.flow.detect import ask
from yardarm.profiles import Profile
from yardarm.remote import Connection, Session, connect, open_session


@dataclass(frozen=True)
class Device:
    """A connected device and what it is."""

    connection: Connection
    facts: Facts
    profile: Profile

    @property
    def emulated(self) -> bool:
        return self.connection.address.emulated or self.facts.emulated


@contextmanager
def device(host: str, sink: Sink) -> Iterator[Device]:
    """Connect to `host` and find out what it is.

    Raises:
        UsageError, Unreachable, VerificationFailed: as `resolve` and `connect` do.
        Refused: it is no device that Yardarm serves, or its userland is a 32-bit one.
    """
    address = hosts.resolve(host)
    with connect(address) as connection:
        found = ask(connection)
        opened = Device(connection, found, matching.match(found, _known()))
        if opened.emulated:
            sink(Note(f"{host} is {EMULATED}", "warning"))
        yield opened


def _known() -> list[Profile]:
    return [profiles.load(name) for name in profiles.names()]


def expect(opened: Device, profile: Profile) -> None:
    """Raises Refused when the device is of another class than we work for."""
    if opened.profile.name != profile.name:
        raise Refused(
            f"the device is a {opened.profile.name}, the work is for {profile.name}",
            where=opened.connection.address.name,
            hint=f"leave --profile out, or say --profile {opened.profile.name}",
        )


@contextmanager
def agent(opened: Device) -> Iterator[Session]:
    """A session with an agent that is of this version: placed first where it isn't."""
    placement = deploy.place(opened.connection)
    with open_session(opened.connection, placement.path, deploy.ROOT) as session:
        yield session
