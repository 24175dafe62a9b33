"""What is asked of uv for an image: checked requirements, known-bad versions, the platform."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from yardarm.errors import InvalidInput, Unsupported
from yardarm.profiles import Profile

ALWAYS = ("numpy", "onnxruntime", "psutil", "waitress")

# The glibc 2.x minor versions that uv has an aarch64 platform for.
_GLIBC_MINORS = (17, 28, *range(31, 41))

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]@/]*\])?[^@/]*")
_EXCLUDED = re.compile(r"\s*([A-Za-z0-9._-]+)\s*==\s*([A-Za-z0-9.*+!]+)\s*(;.*)?")


@dataclass(frozen=True)
class Request:
    """What is asked of uv."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    python: str
    platform: str


def request(requirements: Sequence[str], profile: Profile) -> Request:
    """The project's requirements and the runtime's own, for a device class.

    Raises:
        InvalidInput: a requirement is a path, an address or an option.
        Unsupported: the profile's glibc is older than any that wheels are made for.
    """
    own = {_checked(text.strip()) for text in requirements}
    named = {name(text) for text in own}
    return Request(
        tuple(sorted(own | {name for name in ALWAYS if name not in named})),
        tuple(map(_constraint, profile.runtime.exclude)),
        profile.os.python,
        _platform(profile.os.glibc),
    )


def name(requirement: str) -> str:
    """The package that a requirement is about, in lower case."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


def _checked(text: str) -> str:
    if not _REQUIREMENT.fullmatch(text):
        raise InvalidInput(
            f"not the name of a package: {text!r}",
            where="[image] requirements",
            hint="name packages of an index, with versions if need be, such as pillow>=10",
        )
    return text


def _constraint(excluded: str) -> str:
    found = _EXCLUDED.fullmatch(excluded)
    if not found:
        raise InvalidInput(
            f"not a version to exclude: {excluded!r}",
            where="runtime.exclude of the device profile",
            hint="write NAME==VERSION; REASON",
        )
    return f"{found[1]}!={found[2]}"


def _platform(glibc: str) -> str:
    major, minor = (int(part) for part in glibc.split(".")[:2])
    fitting = [known for known in _GLIBC_MINORS if (2, known) <= (major, minor)]
    if not fitting:
        raise Unsupported(f"no aarch64 wheels exist for glibc {glibc}", where="os.glibc")
    return f"aarch64-manylinux_2_{fitting[-1]}"
