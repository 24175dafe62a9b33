"""Requirements resolved by uv into exact wheels, for the target; nothing is downloaded to keep.

Which index is asked, with which credentials, is the user's own configuration of uv: its files
and its variables.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import uv

from yardarm import paths, process
from yardarm.errors import InvalidInput, Unreachable, Unsupported, VerificationFailed, YardarmError
from yardarm.events import Sink, silent, step
from yardarm.image import indexes, tags
from yardarm.image.requirements import Request, name
from yardarm.image.room import no_room
from yardarm.lockfile import Pinned

_UNREACHABLE = re.compile(
    r"error sending request|dns error|tcp connect|network (was|connectivity is) disabled"
    r"|timed out|50\d (Internal|Bad|Service|Gateway)"
)
_CONFIGURATION = "uv.toml"
_FORBIDDEN = re.compile(r"40[13] (Unauthorized|Forbidden)|lack of valid authentication")


def resolve(wanted: Request, sink: Sink = silent) -> tuple[Pinned, ...]:
    """The wheels that the requirements come to today, dependencies included.

    Raises:
        Unsupported: a requirement does not exist or has no wheel for the target; the hint is
            uv's reason.
        Unreachable: the index can't be reached.
        InvalidInput: the index wants other credentials, or uv's configuration is not valid.
    """
    with step(sink, "image/resolve", "resolve aarch64 wheels") as progress:
        with tempfile.TemporaryDirectory(prefix="yardarm-resolve-") as text:
            work = Path(text)
            (work / "requirements.in").write_text(_lines(wanted.requirements), encoding="utf-8")
            (work / "constraints.txt").write_text(_lines(bounds(wanted)), encoding="utf-8")
            done = run(command(wanted), work, wanted)
        found = tuple(sorted(_pinned(done, wanted)))
        progress.detail = f"{len(found)} packages"
    return found


def command(wanted: Request) -> list[str]:
    """uv's arguments to resolve what `requirements.in` and `constraints.txt` say."""
    return [
        *(uv.find_uv_bin(), "pip", "compile", *target(wanted)),
        *("--format", "pylock.toml", "--generate-hashes", "--no-header", "--quiet"),
        *("--constraints", "constraints.txt", "requirements.in"),
    ]


def target(wanted: Request) -> tuple[str, ...]:
    """uv's arguments that name the target: wheels only, for its platform and Python."""
    return (
        *("--python", sys.executable, "--python-version", wanted.python),
        *("--python-platform", wanted.platform, "--only-binary", ":all:", "--color", "never"),
    )


def bounds(wanted: Request) -> tuple[str, ...]:
    """The user's constraints, and the versions known to be bad."""
    return (*wanted.constraints, *(each.constraint for each in wanted.excluded))


def run(argv: Sequence[str], folder: Path, wanted: Request) -> str:
    """What uv printed. It runs in a folder of its own, so that no pyproject.toml nearby has a
    say. Raises as `resolve` does, and VerificationFailed for another hash than expected."""
    done = process.run(argv, cwd=folder, check=False, timeout=1800, env=indexes.environment())
    if done.code != 0:
        raise failure(wanted, done.stderr.decode(errors="replace"))
    return done.text


def failure(wanted: Request, reason: str) -> YardarmError:
    """uv's reason as an error of ours."""
    if os.strerror(errno.ENOSPC) in reason:
        return no_room(paths.cache())
    where = f"{wanted.platform}, Python {wanted.python}"
    if "Hash mismatch" in reason:
        return VerificationFailed(
            "a wheel is not the one that was locked", where=where, hint=_tidy(reason)
        )
    if _CONFIGURATION in reason:
        return InvalidInput("uv's configuration is not valid", hint=_tidy(reason))
    if _FORBIDDEN.search(reason):
        return InvalidInput("the index lets nobody in as uv is configured", hint=_tidy(reason))
    if _UNREACHABLE.search(reason):
        return Unreachable("the index of Python packages can't be reached", hint=_tidy(reason))
    named = [text for text in wanted.requirements if name(text) in reason.lower()]
    asked = ", ".join(named or wanted.requirements)
    hint = f"{_tidy(reason)}\n`yardarm wheels` says for each package why, and what would do"
    return Unsupported(f"no way onto the device for {asked}", where=where, hint=hint)


def _tidy(reason: str) -> str:
    """uv's words without the drawing around them, and without anybody's password."""
    lines = (
        re.sub(r"^\W*((error|cause): )?", "", line)
        for line in indexes.bare(reason).splitlines()
        if "constraints.txt" not in line
    )
    return "\n".join([line for line in lines if line][-8:])


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


def _pinned(pylock: str, wanted: Request) -> Iterator[Pinned]:
    """Out of PEP 751's form of a resolution, which has the candidates of every package."""
    for package in tomllib.loads(pylock).get("packages", ()):
        wheels = {_file(wheel): wheel for wheel in package.get("wheels", ())}
        chosen = tags.best(wheels, wanted.python, wanted.platform)
        if chosen is None:
            raise Unsupported(
                f"no wheel of {package['name']} {package['version']} fits", where=wanted.target
            )
        wheel = wheels[chosen]
        yield Pinned(
            package["name"], package["version"], chosen, wheel["hashes"]["sha256"], _size(wheel)
        )


def _file(wheel: Mapping[str, Any]) -> str:
    return str(wheel.get("name") or unquote(_place(wheel).rpartition("/")[2]))


def _place(wheel: Mapping[str, Any]) -> str:
    return urlsplit(wheel["url"]).path if "url" in wheel else str(wheel["path"])


def _size(wheel: Mapping[str, Any]) -> int:
    """Bytes; indexes in the older form of HTML don't tell them."""
    if "size" in wheel:
        return int(wheel["size"])
    if "path" in wheel:
        return Path(wheel["path"]).stat().st_size
    from yardarm.image.web import Web  # HTTP, which few indexes make necessary

    return Web(indexes.configured()).size(wheel["url"])
