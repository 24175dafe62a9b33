"""What is asked for an image: checked requirements, known-bad versions, the target; and what
the project's lock says to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from yardarm import lockfile
from yardarm.errors import InvalidInput, Unsupported
from yardarm.image import jetson, tags
from yardarm.lockfile import Lock, Pinned, Wheels
from yardarm.profiles import Profile, release_for

ALWAYS = ("numpy", "onnxruntime", "psutil", "waitress")

# The glibc 2.x minor versions that uv has an aarch64 platform for.
_GLIBC_MINORS = (17, 28, *range(31, 41))

_UBUNTU_GLIBC = {"20.04": "2.31", "22.04": "2.35", "24.04": "2.39"}

_EXCLUDED = re.compile(r"\s*([A-Za-z0-9._-]+)\s*==\s*([A-Za-z0-9.*+!]+)\s*(?:;\s*(.*))?")

_RENEW = "`yardarm wheels --lock` resolves them anew"


@dataclass(frozen=True)
class Excluded:
    """A version that is known to be bad on a device class, and why."""

    name: str
    version: str
    reason: str

    @property
    def constraint(self) -> str:
        return f"{self.name}!={self.version}"


@dataclass(frozen=True)
class Request:
    """What is asked of uv.

    Attributes:
        requirements: sorted, as pip writes them.
        constraints: bounds on whatever comes along, as pip writes them.
        python: the target's version, such as "3.11".
        platform: the target as uv names it, such as "aarch64-manylinux_2_36".
        excluded: known-bad versions on the device class.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    python: str
    platform: str
    excluded: tuple[Excluded, ...] = ()

    @property
    def target(self) -> str:
        """What wheels are for, such as "cp311-aarch64-manylinux_2_36"."""
        return f"cp{self.python.replace('.', '')}-{self.platform}"


def request(
    requirements: Sequence[str],
    profile: Profile,
    constraints: Sequence[str] = (),
    *,
    jetpack: str | None = None,
) -> Request:
    """The project's requirements and the runtime's own, for a device class.

    Args:
        jetpack: of a Jetson; default: the newest on the profile's system.

    Raises:
        InvalidInput: a requirement is a path, an address or an option.
        Unsupported: the profile's glibc is older than any that wheels are made for.
    """
    own = {_checked(text.strip(), "[image] requirements") for text in requirements}
    always, python, glibc = _system(profile, jetpack)
    named = {name(text) for text in own}
    return Request(
        tuple(sorted(own | {text for text in always if name(text) not in named})),
        tuple(sorted(_checked(text.strip(), "[image] constraints") for text in constraints)),
        python,
        _platform(glibc),
        tuple(map(_excluded, profile.runtime.exclude)),
    )


def locked(lock: Lock, wanted: Request) -> tuple[Pinned, ...] | None:
    """The wheels that the lock has for what is wanted; None: it has none for the target.

    Raises:
        InvalidInput: it has wheels for other requirements; what changed is said.
    """
    section = lock.wheels.get(wanted.target)
    if section is None:
        return None
    changes = [*_changes(section, wanted), *_broken(section, wanted)]
    if changes:
        raise InvalidInput(
            f"the lock no longer matches the project: {'; '.join(changes)}",
            where=f"{lockfile.FILE}: {wanted.target}",
            hint=_RENEW,
        )
    return section.pinned


def name(requirement: str) -> str:
    """The package that a requirement is about, as indexes name it."""
    return canonicalize_name(Requirement(requirement).name)


def _changes(section: Wheels, wanted: Request) -> Iterator[str]:
    before, now = _by_name(section.requirements), _by_name(wanted.requirements)
    for each in sorted(before.keys() | now.keys()):
        if each not in before:
            yield f"{now[each]} is new"
        elif each not in now:
            yield f"{before[each]} is no longer asked for"
        elif before[each] != now[each]:
            yield f"{now[each]} was {before[each]}"


def _by_name(requirements: Sequence[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for text in requirements:
        found.setdefault(name(text), []).append(text)
    return {each: " and ".join(sorted(texts)) for each, texts in found.items()}


def _broken(section: Wheels, wanted: Request) -> Iterator[str]:
    """Bounds that the pinned versions don't keep; they may be another profile's."""
    pinned = {canonicalize_name(each.name): each.version for each in section.pinned}
    for bound in map(Requirement, wanted.constraints):
        version = pinned.get(canonicalize_name(bound.name))
        if version and not bound.specifier.contains(version, prereleases=True):
            yield f"{bound.name} {version} is outside the constraint {bound}"
    for bad in wanted.excluded:
        version = pinned.get(canonicalize_name(bad.name))
        if version and not Requirement(bad.constraint).specifier.contains(version, True):
            yield f"{bad.name} {version} is known bad: {bad.reason}"
    here = tags.environment(wanted.python)
    for text in map(Requirement, section.requirements):
        applies = text.marker is None or text.marker.evaluate(here)
        if applies and canonicalize_name(text.name) not in pinned:
            yield f"{text.name} is not pinned"


def _checked(text: str, where: str) -> str:
    try:
        if not Requirement(text).url:
            return text
    except InvalidRequirement:
        pass
    raise InvalidInput(
        f"not the name of a package: {text!r}",
        where=where,
        hint="name packages of an index, with versions if need be, such as pillow>=10",
    )


def _excluded(text: str) -> Excluded:
    found = _EXCLUDED.fullmatch(text)
    if not found:
        raise InvalidInput(
            f"not a version to exclude: {text!r}",
            where="runtime.exclude of the device profile",
            hint="write NAME==VERSION; REASON",
        )
    return Excluded(found[1], found[2], found[3] or "no reason is given")


def _system(profile: Profile, jetpack: str | None) -> tuple[tuple[str, ...], str, str]:
    """The runtime's own requirements, Python and glibc."""
    if profile.runtime.target != "tensorrt":
        return ALWAYS, profile.os.python, profile.os.glibc
    release = release_for(profile, jetpack)
    found = jetson.base(release)
    return found.layered, found.python, _UBUNTU_GLIBC[release.ubuntu]


def _platform(glibc: str) -> str:
    major, minor = (int(part) for part in glibc.split(".")[:2])
    fitting = [known for known in _GLIBC_MINORS if (2, known) <= (major, minor)]
    if not fitting:
        raise Unsupported(f"no aarch64 wheels exist for glibc {glibc}", where="os.glibc")
    return f"aarch64-manylinux_2_{fitting[-1]}"
