"""`yardarm.lock`: what the images of a project are made of, to review and to commit.

    version = 1

    [bases]
    "team/base:1" = "sha256:…"

    [wheels."cp311-aarch64-manylinux_2_36"]
    requirements = ["numpy"]
    pinned = [{ name = …, version = …, file = …, sha256 = …, size = … }]

Wheels are named by file and hash, never by where they come from: that is each user's own
configuration. Sections are named by what wheels are for, so that device classes with the same
Python, architecture and C library share one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from yardarm import digest
from yardarm.digest import Digest
from yardarm.errors import InvalidInput
from yardarm.project import read_toml
from yardarm_wire.files import FILES

FILE = "yardarm.lock"

_VERSION = 1

_HEADER = """\
# What the images of this project are made of. Yardarm writes it; commit it.
# `yardarm wheels --lock` resolves the wheels anew.
"""


@dataclass(frozen=True, order=True)
class Pinned:
    """One wheel: `file` is its name, `sha256` 64 hexadecimal digits, `size` bytes."""

    name: str
    version: str
    file: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Wheels:
    """The wheels that `requirements` came to, on one target."""

    requirements: tuple[str, ...]
    pinned: tuple[Pinned, ...]


@dataclass(frozen=True)
class Lock:
    """A lock file's content.

    Attributes:
        bases: base image as the project names it, to the digest that the name had.
        wheels: target such as "cp311-aarch64-manylinux_2_36" to its wheels.
    """

    bases: Mapping[str, Digest] = field(default_factory=lambda: MappingProxyType({}))
    wheels: Mapping[str, Wheels] = field(default_factory=lambda: MappingProxyType({}))

    def with_base(self, name: str, found: Digest) -> Self:
        return replace(self, bases={**self.bases, name: found})

    def with_wheels(self, target: str, wheels: Wheels) -> Self:
        return replace(self, wheels={**self.wheels, target: wheels})


def load(path: Path) -> Lock:
    """The lock at `path`; an empty one where there is no file.

    Raises:
        InvalidInput: damaged, or written in another version of the format.
    """
    if not path.exists():
        return Lock()
    body = read_toml(path)
    version = body.get("version")
    if version != _VERSION:
        raise InvalidInput(
            f"the lock has version {version}, and this Yardarm reads {_VERSION}",
            where=str(path),
            hint="take the Yardarm that wrote it, or delete it and lock anew",
        )
    try:
        return _Body.model_validate(body).lock()
    except ValidationError as error:
        raise _damaged(path, error) from None


def dump(lock: Lock) -> str:
    """The one text for a lock: sorted, one line a wheel."""
    parts = [f"{_HEADER}version = {_VERSION}\n"]
    if lock.bases:
        lines = [f"{_text(name)} = {_text(found)}\n" for name, found in sorted(lock.bases.items())]
        parts.append("[bases]\n" + "".join(lines))
    parts += [_section(target, wheels) for target, wheels in sorted(lock.wheels.items())]
    return "\n".join(parts)


def save(lock: Lock, path: Path) -> None:
    """Replace the file by one rename; a file that says the same already is left alone."""
    text = dump(lock).encode()
    if not path.exists() or path.read_bytes() != text:
        FILES.write(str(path), text)


def _section(target: str, wheels: Wheels) -> str:
    asked = "".join(f"  {_text(each)},\n" for each in sorted(wheels.requirements))
    pinned = "".join(f"  {_line(each)},\n" for each in sorted(wheels.pinned))
    return f"[wheels.{_text(target)}]\nrequirements = [\n{asked}]\npinned = [\n{pinned}]\n"


def _line(wheel: Pinned) -> str:
    texts = (f"{key} = {_text(getattr(wheel, key))}" for key in ("name", "version", "file"))
    return f"{{ {', '.join(texts)}, size = {wheel.size}, sha256 = {_text(wheel.sha256)} }}"


def _text(text: str) -> str:
    """A basic string of TOML, which JSON's strings are but for DEL and pairs of surrogates."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Pinned(_Table):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+!_-]+$")]
    file: Annotated[str, Field(pattern=r"^[^/\\\s]+\.whl$")]
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _requirement(text: str) -> str:
    try:
        Requirement(text)
    except InvalidRequirement:
        raise ValueError(f"not a requirement: {text!r}") from None
    return text


class _Wheels(_Table):
    requirements: list[Annotated[str, AfterValidator(_requirement)]]
    pinned: list[_Pinned]

    def wheels(self) -> Wheels:
        pinned = sorted(Pinned(**dict(each)) for each in self.pinned)
        return Wheels(tuple(sorted(self.requirements)), tuple(pinned))


class _Body(_Table):
    version: Literal[1]
    bases: dict[str, Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]] = {}
    wheels: dict[str, _Wheels] = {}

    def lock(self) -> Lock:
        bases = {name: digest.parse(found) for name, found in self.bases.items()}
        return Lock(bases, {target: each.wheels() for target, each in self.wheels.items()})


def _damaged(path: Path, error: ValidationError) -> InvalidInput:
    first: Any = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    return InvalidInput(
        f"the lock is damaged: {key}: {first['msg']}",
        where=str(path),
        hint="take it from version control again, or delete it and lock anew",
    )
