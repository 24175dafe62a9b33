"""Which wheels a target takes, and which of them first: tags and markers, as pip has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

MACHINE = "aarch64"

# The glibc versions before 2.17 had no aarch64.
_OLDEST = 17


@cache
def supported(python: str, platform: str) -> Mapping[Tag, int]:
    """Every tag that a target takes, to its rank: 0 is taken first.

    Args:
        python: version such as "3.11".
        platform: as uv names it, such as "aarch64-manylinux_2_36".
    """
    version = tuple(map(int, python.split(".")[:2]))
    platforms = _platforms(int(platform.rpartition("_")[2]))
    interpreter = f"cp{version[0]}{version[1]}"
    own = cpython_tags(version, abis=[interpreter], platforms=platforms)
    more = compatible_tags(version, interpreter=interpreter, platforms=platforms)
    ranked: dict[Tag, int] = {}
    for tag in (*own, *more):
        ranked.setdefault(tag, len(ranked))
    return ranked


def rank(file: str, accepted: Mapping[Tag, int]) -> int | None:
    """A wheel's rank by its file name; None where the target does not take it.

    Raises:
        InvalidWheelFilename: not the name of a wheel.
    """
    found = [accepted[tag] for tag in parse_wheel_filename(file)[3] if tag in accepted]
    return min(found, default=None)


def best(files: Iterable[str], python: str, platform: str) -> str | None:
    """The wheel that the target takes first, the later build where two are alike."""
    accepted = supported(python, platform)
    ranked = [(rank(file, accepted), parse_wheel_filename(file)[2], file) for file in files]
    fitting = [(-order, build, file) for order, build, file in ranked if order is not None]
    return max(fitting)[2] if fitting else None


def environment(python: str) -> dict[str, str]:
    """What markers of requirements are held against."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": MACHINE,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }


def _platforms(minor: int) -> list[str]:
    newest_first = [f"manylinux_2_{each}_{MACHINE}" for each in range(minor, _OLDEST - 1, -1)]
    return [*newest_first, f"manylinux2014_{MACHINE}", f"linux_{MACHINE}"]
