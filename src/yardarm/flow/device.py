"""A device opened for work: connected, its facts known, its profile found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from yardarm import deploy, matching, profiles, project
from yardarm.artifacts import EMULATED, Facts
from yardarm.errors import Refused, VerificationFailed
from yardarm.events import Note, Sink
from yardarm.flow import hosts
from yardarm.flow.detect import ask
from yardarm.flow.workspace import Workspace, workspace
from yardarm.profiles import Profile
from yardarm.project import Project
from yardarm.remote import Connection, Session, connect, open_session


@dataclass(frozen=True)
class Device:
    """A connected device and what it is.

    Attributes:
        profile: what it is worked on for: the one that the user named, or that fits it best.
        kind: the shipped profile that fits it, whose name it keeps as its class; a project's
            own one only where none does. So releases of several projects get along there.
    """

    connection: Connection
    facts: Facts
    profile: Profile
    kind: Profile

    @property
    def emulated(self) -> bool:
        return self.connection.address.emulated or self.facts.emulated


@contextmanager
def device(
    host: str, sink: Sink, *, beside: Path | None = None, profile: str | None = None
) -> Iterator[Device]:
    """Connect to `host` and find out what it is.

    Args:
        beside: a project's folder, whose own profiles count too.
        profile: the one to work for; default: the one that fits.

    Raises:
        UsageError, Unreachable, VerificationFailed: as `resolve` and `connect` do.
        InvalidInput, Unsupported: as `profiles.load` does.
        Refused: it is no device that Yardarm serves, its userland is a 32-bit one, or
            `profile` is for other devices.
    """
    address = hosts.resolve(host)
    chosen = profiles.load(profile, beside) if profile else None
    with connect(address) as connection:
        found = ask(connection)
        matched = matching.match(found, _known(beside), host)
        kind = _kind(found, matched)
        opened = Device(connection, found, chosen or matched, kind)
        _check(opened, matched, beside)
        if opened.emulated:
            sink(Note(f"{host} is {EMULATED}", "warning"))
        yield opened


@contextmanager
def at_work(
    where: Path, host: str, sink: Sink, *, profile: str | None, purpose: str
) -> Iterator[tuple[Device, Workspace]]:
    """A device and a project opened for it. Raises as `device` and `workspace` do."""
    root = project.load(where).root
    with (
        device(host, sink, beside=root, profile=profile) as opened,
        workspace(where, opened.profile.name, f"{purpose} {host}") as work,
    ):
        yield opened, replace(work, project=for_device(work.project, opened))


def for_device(asked: Project, opened: Device) -> Project:
    """The project, compiled for the JetPack that runs on a device unless it names another one.
    Where the profile doesn't know what runs there, its own default stays."""
    found = matching.release(opened.facts, opened.profile)
    if found is None or asked.tensorrt.jetpack is not None:
        return asked
    section = asked.tensorrt.model_copy(update={"jetpack": found.jetpack})
    return asked.model_copy(update={"tensorrt": section})


def _known(beside: Path | None) -> list[Profile]:
    return [profiles.load(name, beside) for name in profiles.names(beside)]


def _kind(found: Facts, matched: Profile) -> Profile:
    try:
        return matching.match(found, _known(None))
    except Refused:
        return matched


def _check(opened: Device, matched: Profile, beside: Path | None) -> None:
    name = opened.profile.name
    own = beside is not None and profiles.is_own(name, beside)
    lineage = profiles.lineage(name, beside) if own else ()
    if not matching.suits(opened.facts, opened.profile, lineage, (matched.name, opened.kind.name)):
        raise Refused(
            f"the device is a {matched.name}, the work is for {name}",
            where=opened.connection.address.name,
            hint=f"leave --profile out, or say --profile {matched.name}",
        )


def expect(opened: Device, profile: Profile) -> None:
    """Raises Refused when the device was opened for another profile than we work for."""
    if opened.profile.name != profile.name:
        raise Refused(
            f"the device was opened for {opened.profile.name}, the work is for {profile.name}",
            where=opened.connection.address.name,
            hint="open device and project for one profile",
        )


@contextmanager
def newer_than(session: Session, lacking: str) -> Iterator[None]:
    """Raises Refused where the runtime of the release that runs doesn't know what it is asked.

    Args:
        lacking: what such a release can't do, as in "time models".
    """
    try:
        yield
    except VerificationFailed as error:
        if "invalid choice" not in error.hint:
            raise
        raise Refused(
            f"the release that runs there is of an older Yardarm, and can't {lacking}",
            where=session.address.name,
            hint=f"yardarm deploy {session.address.name}",
        ) from None


@contextmanager
def agent(opened: Device) -> Iterator[Session]:
    """A session with an agent that is of this version: placed first where it isn't."""
    placement = deploy.place(opened.connection)
    with open_session(opened.connection, placement.path, deploy.ROOT) as session:
        yield session
