"""The whole examination: resolve, look at what indexes have, and say what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from yardarm.errors import InvalidInput, Unsupported
from yardarm.events import Sink, silent, step
from yardarm.image import indexes, jetson
from yardarm.image.doctor import routes
from yardarm.image.doctor.asking import Asking
from yardarm.image.doctor.judging import BOUND, MISSING, Reason, newest, newest_usable
from yardarm.image.doctor.report import Finding, Report
from yardarm.image.doctor.walking import Package, hindrance, hopeless, walk
from yardarm.image.requirements import Request, locked, name
from yardarm.image.resolving import resolve
from yardarm.lockfile import Lock, Pinned

_ANY = SpecifierSet()


def examine(
    wanted: Request,
    lock: Lock,
    profile: str,
    sink: Sink = silent,
    *,
    base: jetson.Base | None = None,
    asking: Asking | None = None,
) -> Report:
    """Say for each package which version a target gets, and why not a newer one, or none.

    Args:
        lock: what it has for the target counts, as long as it matches.
        base: what a Jetson's image is made on.

    Raises:
        Unreachable: an index can't be reached.
        InvalidInput: an index lets nobody in.
    """
    stale = ""
    try:
        pinned = locked(lock, wanted)
    except InvalidInput as error:
        pinned, stale = None, error.what
    with step(sink, "image/doctor", "ask what indexes have") as progress:
        asked = asking or Asking(wanted, indexes.configured())
        is_locked, conflict = pinned is not None, ""
        if pinned is None:
            pinned, conflict = _resolved(wanted, asked)
        by_name = {str(canonicalize_name(each.name)): each for each in pinned}
        versions = {each: Version(pin.version) for each, pin in by_name.items()}
        packages = walk(wanted, asked, versions)
        found = [_finding(each, by_name, asked, wanted, base) for each in packages]
        progress.detail = f"{len(found)} packages"
    failed = any(each.version is None for each in found)
    return Report(profile, wanted.target, found, is_locked, stale, "" if failed else conflict)


def _resolved(wanted: Request, asking: Asking) -> tuple[tuple[Pinned, ...], str]:
    """The wheels that the resolver finds; where there is no solution, those of the requirements
    that don't fail by themselves, if these have one, and the resolver's words."""
    try:
        return resolve(wanted), ""
    except Unsupported as error:
        conflict = error.hint.rpartition("\n")[0]
    failing = hopeless(wanted, asking)
    rest = tuple(text for text in wanted.requirements if name(text) not in failing)
    try:
        found = resolve(replace(wanted, requirements=rest)) if failing and rest else ()
    except Unsupported:
        found = ()
    return tuple(each for each in found if canonicalize_name(each.name) not in failing), conflict


def _finding(
    package: Package,
    pinned: Mapping[str, Pinned],
    asking: Asking,
    wanted: Request,
    base: jetson.Base | None,
) -> Finding:
    pin = pinned.get(package.name)
    best = newest_usable(package.releases, _ANY)
    top = newest(package.releases, _ANY)
    wheel = package.chosen.wheel if package.chosen else None
    version = pin.version if pin else str(package.chosen.version) if package.chosen else None
    variant = routes.variant(package.name, base)
    reasons = _reasons(package, version, variant, lambda: _hindered(package, wanted, asking))
    return Finding(
        package.name,
        tuple(map(str, package.asks)),
        version,
        pin.file if pin else wheel.name if wheel else "",
        pin.size if pin else wheel.size if wheel else None,
        str(top.version) if top else None,
        str(best.version) if best else None,
        reasons,
        _routes(package, reasons[-1], asking, wanted, base) if version is None else (),
    )


def _routes(
    package: Package,
    reason: Reason,
    asking: Asking,
    wanted: Request,
    base: jetson.Base | None,
) -> tuple[str, ...]:
    instead = {}
    for other in routes.INSTEAD.get(package.name, ()):
        found = newest_usable(asking.releases(other), _ANY)
        if found:
            instead[other] = found.version
    best = newest_usable(package.releases, _ANY)
    usable = best.version if best else None
    return routes.routes(package, reason, wanted, usable=usable, instead=instead, base=base)


def _reasons(
    package: Package,
    version: str | None,
    variant: Reason | None,
    hindered: Callable[[], Reason | None],
) -> tuple[Reason, ...]:
    """Why it is not the newest version, or none; what a package is for comes first."""
    told = [variant] if variant else []
    top = newest(package.releases, _ANY)
    if top is None:
        return (*told, Reason(MISSING, "the index has no such package"))
    if version is not None and Version(version) >= top.version:
        return tuple(told)
    within = newest(package.releases, package.bounds)
    if version is None:
        return (*told, _failing(package, within.reason if within else None))
    if top.reason:
        return (*told, top.reason)
    if within is None or within.version < top.version:
        return (*told, Reason(BOUND, f"{_bounded(package)} keeps it below {top.version}"))
    elsewhere = f"what else is asked for, or the lock, keeps it below {top.version}"
    return (*told, hindered() or Reason(BOUND, elsewhere))


def _hindered(package: Package, wanted: Request, asking: Asking) -> Reason | None:
    """What the newest version pulls in and the target can't have."""
    top = newest(package.releases, package.bounds)
    found = hindrance(package, wanted, asking, top) if top else None
    if top is None or found is None:
        return None
    (why, *_) = _reasons(found, None, None, lambda: None)
    return Reason(why.kind, f"{top.version} pulls in {found.asks[0].requirement.name}: {why.text}")


def _failing(package: Package, reason: Reason | None) -> Reason:
    if reason:
        return reason
    return Reason(BOUND, f"the index has no version within {_bounded(package)}")


def _bounded(package: Package) -> str:
    asks = (str(ask) for ask in package.asks if ask.requirement.specifier)
    return " and ".join(dict.fromkeys([*asks, *package.constraints]))
