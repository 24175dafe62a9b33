"""Which wheels a project gets on a device class; and the lock, renewed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from yardarm import lockfile, paths, profiles, project
from yardarm.errors import UsageError
from yardarm.events import Sink, silent
from yardarm.flow.workspace import own_folder
from yardarm.image import doctor, foundation, jetson, wheels
from yardarm.image.doctor import Report
from yardarm.image.making import Maker
from yardarm.image.requirements import Request, request
from yardarm.image.resolving import resolve
from yardarm.image.spec import Spec
from yardarm.lockfile import Lock, Pinned, Wheels
from yardarm.profiles import Profile
from yardarm.store import Store, exclusive


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
    asked = _asked(where, profile, sink)
    return doctor.examine(asked.wanted, asked.lock, asked.profile.name, sink, base=_base(asked))


def lock(where: Path, profile: str | None, sink: Sink = silent) -> Locked:
    """Resolve anew, write the lock, and have the wheels in the user's cache: from then on the
    image is made without a network.

    Raises:
        Unsupported: a requirement has no way onto the device.
        Busy: another process works in this project.
        Others as `examine` does.
    """
    root = project.load(where).root
    with exclusive(own_folder(root) / "lock", "yardarm wheels --lock"):
        asked = _asked(where, profile, sink)
        wanted, file = asked.wanted, root / lockfile.FILE
        pinned = resolve(wanted, sink)
        wheels.fetch(wanted, pinned, sink, asked.spec.keep)
        now = asked.lock.with_wheels(wanted.target, Wheels(wanted.requirements, pinned))
        lockfile.save(now, file)
    before = asked.lock.wheels.get(wanted.target)
    return Locked(file, wanted.target, pinned, before.pinned if before else ())


@dataclass(frozen=True)
class _Asked:
    """What a project asks for on a device class; `lock` has its base, where that is foreign."""

    spec: Spec
    profile: Profile
    wanted: Request
    lock: Lock


def _asked(where: Path, profile: str | None, sink: Sink) -> _Asked:
    opened = project.load(where)
    if profile is None:
        raise UsageError("no device profile is given", hint="add --profile; see `yardarm profiles`")
    chosen = profiles.load(profile, opened.root)
    spec, lock = Spec.of(opened), lockfile.load(opened.root / lockfile.FILE)
    if spec.base is not None:  # its Python and C library count
        maker = Maker(Store(paths.store(opened.root)), sink)
        laid = foundation.lay(replace(spec, packages=()), chosen, maker, lock)
        chosen, lock = laid.profile, laid.lock
    wanted = request(spec.requirements, chosen, spec.constraints, jetpack=spec.jetpack)
    return _Asked(spec, chosen, wanted, lock)


def _base(asked: _Asked) -> jetson.Base | None:
    if asked.profile.runtime.target != "tensorrt":
        return None
    return jetson.base(profiles.release_for(asked.profile, asked.spec.jetpack))
