"""Which wheels a project gets on a device class; and the lock, renewed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yardarm import lockfile, profiles, project
from yardarm.errors import UsageError
from yardarm.events import Sink, silent
from yardarm.flow.workspace import own_folder
from yardarm.image import doctor, jetson, wheels
from yardarm.image.doctor import Report
from yardarm.image.requirements import Request, request
from yardarm.image.resolving import resolve
from yardarm.image.spec import Spec
from yardarm.lockfile import Pinned, Wheels
from yardarm.profiles import Profile
from yardarm.project import Project
from yardarm.store import exclusive


@dataclass(frozen=True)
class Locked:
    """A lock that was written: the wheels for `target` now, and what it had before."""

    file: Path
    target: str
    now: tuple[Pinned, ...]
    before: tuple[Pinned, ...]

    def changes(self) -> Sequence[tuple[str, str, str]]:
        """Name, version before and version now of what differs; "" where there is none."""
        old = {each.name: each for each in self.before}
        new = {each.name: each for each in self.now}
        return [
            (
                name,
                old[name].version if name in old else "",
                new[name].version if name in new else "",
            )
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ]


def examine(where: Path, profile: str | None, sink: Sink = silent) -> Report:
    """Say which wheels the project at `where` gets, and for each that fails why.

    Raises:
        UsageError: no profile given.
        InvalidInput: project, profile or lock not valid; an index lets nobody in.
        Unreachable: an index can't be reached.
    """
    opened, chosen, wanted = _asked(where, profile)
    lock = lockfile.load(opened.root / lockfile.FILE)
    return doctor.examine(wanted, lock, chosen.name, sink, base=_base(opened, chosen))


def lock(where: Path, profile: str | None, sink: Sink = silent) -> Locked:
    """Resolve anew, write the lock, and have the wheels in the user's cache: from then on the
    image is made without a network.

    Raises:
        Unsupported: a requirement has no way onto the device.
        Busy: another process works in this project.
        Others as `examine` does.
    """
    opened, _, wanted = _asked(where, profile)
    file = opened.root / lockfile.FILE
    with exclusive(own_folder(opened.root) / "lock", "yardarm wheels --lock"):
        known = lockfile.load(file)
        pinned = resolve(wanted, sink)
        wheels.fetch(wanted, pinned, sink, opened.image.keep)
        lockfile.save(known.with_wheels(wanted.target, Wheels(wanted.requirements, pinned)), file)
    before = known.wheels.get(wanted.target)
    return Locked(file, wanted.target, pinned, before.pinned if before else ())


def _asked(where: Path, profile: str | None) -> tuple[Project, Profile, Request]:
    opened = project.load(where)
    if profile is None:
        raise UsageError("no device profile is given", hint="add --profile; see `yardarm profiles`")
    chosen = profiles.load(profile, opened.root)
    spec = Spec.of(opened)
    jetpack = opened.tensorrt.jetpack if chosen.releases else None
    return opened, chosen, request(spec.requirements, chosen, spec.constraints, jetpack=jetpack)


def _base(opened: Project, profile: Profile) -> jetson.Base | None:
    if profile.runtime.target != "tensorrt":
        return None
    return jetson.base(profiles.release_for(profile, opened.tensorrt.jetpack))
