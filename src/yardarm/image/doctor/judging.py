"""Whether a target takes what an index has, and if not, why. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from yardarm.image import tags
from yardarm.image.doctor.simple import File
from yardarm.image.requirements import Request

ARCHITECTURE = "architecture"
GLIBC = "glibc"
PYTHON = "python"
SOURCE = "source"
VARIANT = "variant"
EXCLUDED = "excluded"
BOUND = "bound"
YANKED = "yanked"
MISSING = "missing"
KINDS = (ARCHITECTURE, GLIBC, PYTHON, SOURCE, VARIANT, EXCLUDED, BOUND, YANKED, MISSING)

_MANYLINUX = re.compile(r"manylinux_2_(\d+)_aarch64")
_LEGACY = {"manylinux2014_aarch64": 17, "linux_aarch64": 0}
_SYSTEMS = {"win": "Windows", "macosx": "macOS", "musllinux": "musl Linux", "linux": "Linux"}


@dataclass(frozen=True)
class Reason:
    """Why something is not to be had: one of the kinds above, and a clause for a person."""

    kind: str
    text: str


@dataclass(frozen=True)
class Release:
    """A version that an index has. `wheel`: what the target takes; None, and then `reason`."""

    version: Version
    wheel: File | None
    reason: Reason | None


def releases(files: Iterable[File], wanted: Request) -> tuple[Release, ...]:
    """All versions of a package with what the target makes of them, newest first."""
    versions: dict[Version, list[File]] = {}
    for file in files:
        versions.setdefault(file.version, []).append(file)
    return tuple(_release(each, versions[each], wanted) for each in sorted(versions, reverse=True))


def _release(version: Version, files: Sequence[File], wanted: Request) -> Release:
    offered = [file for file in files if file.yanked is None]
    fitting = {
        file.name: file for file in offered if file.wheel and _is_for(file.python, wanted.python)
    }
    chosen = tags.best(fitting, wanted.python, wanted.platform)
    if chosen is None:
        return Release(version, None, _why(files, offered, wanted))
    name = canonicalize_name(parse_wheel_filename(chosen)[0])
    bad = _excluded(name, version, wanted)
    return Release(version, None if bad else fitting[chosen], bad)


def _excluded(name: str, version: Version, wanted: Request) -> Reason | None:
    for bad in wanted.excluded:
        bound = Requirement(bad.constraint).specifier
        if canonicalize_name(bad.name) == name and not bound.contains(version, prereleases=True):
            return Reason(EXCLUDED, f"{version} is known bad on this device: {bad.reason}")
    return None


def _why(files: Sequence[File], offered: Sequence[File], wanted: Request) -> Reason:
    """Why no file of a version will do."""
    if not offered:
        return Reason(YANKED, f"it was withdrawn: {files[0].yanked}")
    ranges = {file.python for file in offered}
    if not any(_is_for(each, wanted.python) for each in ranges):
        return Reason(PYTHON, f"it needs Python {min(ranges)}; the target has {wanted.python}")
    wheels = [file.name for file in offered if file.wheel]
    if not wheels:
        return Reason(SOURCE, "there is only an sdist, which would have to be built")
    reason = _of_wheels(wheels, wanted)
    if len(wheels) < len(offered) and reason.kind == ARCHITECTURE:
        return Reason(reason.kind, f"{reason.text}, and an sdist, which would have to be built")
    return reason


def _of_wheels(wheels: Sequence[str], wanted: Request) -> Reason:
    found = {tag for name in wheels for tag in parse_wheel_filename(name)[3]}
    ours = {tag for tag in found if _glibc(tag.platform) is not None or tag.platform == "any"}
    if not ours:
        return Reason(ARCHITECTURE, f"there is no aarch64 wheel, only for {_platforms(found)}")
    accepted = tags.supported(wanted.python, wanted.platform)
    floors = [_glibc(tag.platform) or 0 for tag in ours if _python_fits(tag, accepted)]
    if floors:
        has = wanted.platform.rpartition("_")[2]
        return Reason(GLIBC, f"it needs glibc 2.{min(floors)}; the target has 2.{has}")
    pythons = ", ".join(sorted({_python(tag) for tag in ours}, key=_natural))
    return Reason(PYTHON, f"its aarch64 wheels are for {pythons}; the target has {wanted.python}")


def _glibc(platform: str) -> int | None:
    """The 2.x that an aarch64 platform asks for; None for other platforms."""
    found = _MANYLINUX.fullmatch(platform)
    return int(found[1]) if found else _LEGACY.get(platform)


def _python_fits(tag: Tag, accepted: Mapping[Tag, int]) -> bool:
    return any((tag.interpreter, tag.abi) == (each.interpreter, each.abi) for each in accepted)


def _python(tag: Tag) -> str:
    digits = re.fullmatch(r"(cp|py|pp)(\d)(\d*)", tag.interpreter)
    if not digits:
        return tag.interpreter
    name = {"cp": "CPython", "py": "Python", "pp": "PyPy"}[digits[1]]
    free = " without a GIL" if tag.abi.endswith("t") else ""
    return f"{name} {'.'.join(filter(None, digits.groups()[1:]))}{free}"


def _natural(text: str) -> list[tuple[int, str]]:
    return [
        (int(part or 0), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)
    ]


def _platforms(found: Iterable[Tag]) -> str:
    """Other platforms as a person says them, such as "x86_64 Linux, macOS"."""
    names = set()
    for tag in found:
        system = next(
            (text for start, text in _SYSTEMS.items() if tag.platform.startswith(start)), ""
        )
        if tag.platform.startswith("manylinux"):
            system = "Linux"
        machine = re.search(
            r"(x86_64|i686|aarch64|armv\dl|ppc64le|s390x|riscv64|loongarch64)$", tag.platform
        )
        with_machine = machine and system.endswith("Linux")
        names.add(f"{machine[1]} {system}" if machine and with_machine else system or tag.platform)
    return ", ".join(sorted(names, key=str.lower))


def _is_for(specifier: str, python: str) -> bool:
    """Whether a specifier of Pythons has the target's; one that nobody can read has all."""
    try:
        return SpecifierSet(specifier).contains(f"{python}.0")
    except InvalidSpecifier:
        return True


def newest(found: Sequence[Release], bounds: SpecifierSet) -> Release | None:
    """The newest version within bounds, pre-releases only where there is nothing else."""
    by_version = {each.version: each for each in found}
    allowed = list(bounds.filter(by_version))
    return by_version[max(allowed)] if allowed else None


def newest_usable(found: Sequence[Release], bounds: SpecifierSet) -> Release | None:
    """The newest version within bounds that the target takes."""
    return newest([each for each in found if each.wheel], bounds)
