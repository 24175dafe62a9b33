"""What requirements pull in, each package in the version that the target gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from yardarm.image import tags
from yardarm.image.doctor.asking import Asking
from yardarm.image.doctor.judging import Release, newest_usable
from yardarm.image.requirements import Request

_ROUNDS = 30
"""A choice may pull in what asks for another one; by then it has settled, or goes in a circle."""


@dataclass(frozen=True)
class Ask:
    """A requirement and whose it is; "": the project's or the runtime's own."""

    requirement: Requirement
    by: str = ""

    def __str__(self) -> str:
        bare = f"{self.requirement.name}{self.requirement.specifier}"
        return f"{bare} of {self.by}" if self.by else bare


@dataclass(frozen=True)
class Package:
    """A package that is asked for.

    Attributes:
        constraints: the project's, on this package.
        releases: all versions that there are, newest first.
        chosen: what the target gets; None: it takes no version within bounds.
    """

    name: str
    asks: tuple[Ask, ...]
    constraints: tuple[str, ...]
    releases: tuple[Release, ...]
    chosen: Release | None

    @property
    def bounds(self) -> SpecifierSet:
        """What all who ask, and the constraints, leave."""
        found = SpecifierSet()
        for each in (*(ask.requirement for ask in self.asks), *map(Requirement, self.constraints)):
            found &= each.specifier
        return found


def walk(wanted: Request, asking: Asking, pins: Mapping[str, Version]) -> tuple[Package, ...]:
    """The packages that are asked for, by name. No choice is taken back: it is what the newest
    usable versions come to.

    Args:
        pins: versions that are settled, by name.

    Raises:
        Unreachable, InvalidInput, VerificationFailed: as `Asking.releases` does.
    """
    found: dict[str, Package] = {}
    for _ in range(_ROUNDS):
        asked = _asked(wanted, asking, found)
        asking.prepare(asked)
        now = {name: _choose(name, asks, wanted, asking, pins) for name, asks in asked.items()}
        asking.prepare_requirements(
            each.chosen.wheel for each in now.values() if each.chosen and each.chosen.wheel
        )
        if now == found:
            break
        found = now
    return tuple(found[name] for name in sorted(found))


def hopeless(wanted: Request, asking: Asking) -> frozenset[str]:
    """The requirements that fail whatever else is asked for. Raises as `walk` does."""
    asked = _asked(wanted, asking, {})
    asking.prepare(asked)
    alone = (_choose(name, asks, wanted, asking, {}) for name, asks in asked.items())
    return frozenset(each.name for each in alone if each.chosen is None)


def hindrance(package: Package, wanted: Request, asking: Asking, by: Release) -> Package | None:
    """What a version of a package would pull in, and the target can't have. Raises as `walk`."""
    extras = {extra for ask in package.asks for extra in ask.requirement.extras}
    needs = asking.requirements(by.wheel) if by.wheel else ()
    for ask in _needs(package.name, needs, extras, wanted):
        name = canonicalize_name(ask.requirement.name)
        found = _choose(name, (ask,), wanted, asking, {})
        if found.chosen is None:
            return found
    return None


def _asked(
    wanted: Request, asking: Asking, chosen: Mapping[str, Package]
) -> dict[str, tuple[Ask, ...]]:
    """Who asks for what, from the requirements on, through the packages that are chosen."""
    asked: dict[str, tuple[Ask, ...]] = {}
    waiting = [
        Ask(text) for text in map(Requirement, wanted.requirements) if _applies(text, wanted)
    ]
    while waiting:
        ask = waiting.pop(0)
        name = canonicalize_name(ask.requirement.name)
        before = asked.get(name, ())
        if ask in before:
            continue
        asked[name] = (*before, ask)
        package = chosen.get(name)
        if package and package.chosen and package.chosen.wheel:
            needs = asking.requirements(package.chosen.wheel)
            waiting += _needs(name, needs, ask.requirement.extras, wanted)
    return asked


def _needs(
    name: str, needs: tuple[Requirement, ...], extras: set[str], wanted: Request
) -> Iterator[Ask]:
    for each in needs:
        if any(_applies(each, wanted, extra) for extra in ("", *sorted(extras))):
            yield Ask(each, name)


def _applies(requirement: Requirement, wanted: Request, extra: str = "") -> bool:
    here = tags.environment(wanted.python) | {"extra": extra}
    return requirement.marker is None or requirement.marker.evaluate(here)


def _choose(
    name: str, asks: tuple[Ask, ...], wanted: Request, asking: Asking, pins: Mapping[str, Version]
) -> Package:
    found = asking.releases(name)
    constraints = tuple(
        text for text in wanted.constraints if canonicalize_name(Requirement(text).name) == name
    )
    package = Package(name, asks, constraints, found, None)
    if name in pins:
        pinned = [each for each in found if each.version == pins[name]]
        return replace(package, chosen=pinned[0] if pinned else None)
    return replace(package, chosen=newest_usable(found, package.bounds))
