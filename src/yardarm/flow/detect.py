"""Ask a device what it is, and find its profile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yardarm import facts, matching, profiles, remote, routes
from yardarm.artifacts import Facts
from yardarm.errors import Unreachable
from yardarm.flow import hosts
from yardarm.image import jetson
from yardarm.image.jetson import Base
from yardarm.profiles import Profile, Release
from yardarm.remote import Connection
from yardarm.routes import Route


@dataclass(frozen=True)
class Detected:
    """A device's facts, its profile, and its JetPack where it has one that is known."""

    facts: Facts
    profile: Profile
    release: Release | None

    @property
    def nearest(self) -> Release | None:
        """The JetPack nearest to one that is not known; None where it is known, or none runs."""
        return None if self.release else matching.nearest(self.facts, self.profile)

    @property
    def base(self) -> Base | None:
        """What an image for its JetPack is made on; None where that is unknown, or no Jetson."""
        return jetson.base(self.release) if self.release and self.facts.jetson else None

    @property
    def routes(self) -> tuple[Route, ...]:
        """The ways to run models that it offers, and what each lacks."""
        return routes.routes(self.facts, self.release)


def detect(host: str, beside: Path | None = None) -> Detected:
    """Ask the device behind `host` and match it.

    Args:
        beside: a project's folder, whose own profiles count too.

    Raises:
        Unreachable: no connection, or no complete answer.
        Refused: the device fits no profile; says what was seen.
    """
    with remote.connect(hosts.resolve(host)) as connection:
        found = ask(connection)
    known = [profiles.load(name, beside) for name in profiles.names(beside)]
    profile = matching.match(found, known, host)
    return Detected(found, profile, matching.release(found, profile))


def ask(connection: Connection) -> Facts:
    """The facts of a connected device. Changes nothing on it.

    Raises:
        Unreachable: the answer broke off.
    """
    answer = connection.run("sh -s", stdin=facts.SCRIPT.encode(), timeout=60.0)
    if not facts.complete(answer.text):
        raise Unreachable(
            f"the device did not tell its facts (exit code {answer.code})",
            where=connection.address.name,
            hint=answer.stderr.decode(errors="replace").strip() or "does `ssh HOST sh` work there?",
        )
    return facts.parse(answer.text)
