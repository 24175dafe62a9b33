"""Which indexes of Python packages are asked: those of the user's own configuration.

uv says itself what its files and variables come to. Where they name no index, the `index-url`
that pip is configured with counts. Credentials stay in memory: they are neither printed nor
written, nor do they become arguments of a program.
"""

from __future__ import annotations

import configparser
import netrc
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import uv

from yardarm import process
from yardarm.errors import InvalidInput, Unreachable

Environment = Mapping[str, str]

_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_NO_INDEX")


@dataclass(frozen=True)
class Index:
    """An address, and who we are there. `flat`: a folder or page of files, not an index."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    flat: bool = False


def environment() -> dict[str, str]:
    """Variables for uv: pip's index, where pip has one and uv is not told of any."""
    mine = _pip(os.environ)
    return {"UV_DEFAULT_INDEX": mine} if mine and not _told() else {}


def configured() -> tuple[Index, ...]:
    """In the order in which they are asked; the first that has a package is the one for it.

    Raises:
        InvalidInput: uv's configuration is not valid.
        Unreachable: a page of `find-links` can't be reached.
    """
    printed = _printed(environment())
    options = [line.split(" ", 1) for line in printed.splitlines() if line.startswith("--")]
    names = dict(_names(os.environ))
    found = [(option, _index(url, names, os.environ)) for option, url in options]
    extra = [index for option, index in found if option == "--extra-index-url"]
    default = [index for option, index in found if option == "--index-url"]
    links = [_flat(url) for option, url in options if option == "--find-links"]
    return (*links, *extra, *default)


def all_count() -> bool:
    """Whether all indexes that have a package count together, which uv calls unsafe; else the
    first one alone."""
    bodies = [_toml(file) for file in _files(os.environ)]
    told = [each for body in bodies for each in (body.get("pip", {}), body)]
    named = (str(each["index-strategy"]) for each in told if "index-strategy" in each)
    strategy = os.environ.get("UV_INDEX_STRATEGY") or next(named, "")
    return strategy.startswith("unsafe")


def _told() -> bool:
    """Whether uv is told of an index by anything but its own default."""
    return _printed({}) != _printed(dict.fromkeys(_VARIABLES, ""), "--no-config")


def _printed(more: Environment, *options: str) -> str:
    argv = [
        *(uv.find_uv_bin(), "pip", "compile", "--python", sys.executable, "--quiet", *options),
        *("--emit-index-url", "--emit-find-links", "--no-header", "-"),
    ]
    done = process.run(argv, cwd=Path(os.sep), env=more, check=False)
    if done.code == 0:
        return done.text
    reason = bare(done.stderr.decode(errors="replace"))
    if "Failed to fetch" in reason:
        raise Unreachable("a page that uv is to find wheels on can't be reached", hint=reason)
    raise InvalidInput("uv's configuration is not valid", hint=reason)


def bare(text: str) -> str:
    """A text without the passwords of addresses in it."""
    return re.sub(r"://[^/\s@]*@", "://", text.strip())


def _flat(place: str) -> Index:
    url = place if "://" in place else Path(place).absolute().as_uri()
    return Index(url.rstrip("/") + "/" if url.startswith("file:") else url, flat=True)


def _index(url: str, names: Mapping[str, str], variables: Environment) -> Index:
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    name = re.sub(r"[^A-Z0-9]", "_", names.get(bare.rstrip("/"), "").upper())
    if name and not password:
        user = variables.get(f"UV_INDEX_{name}_USERNAME", user)
        password = variables.get(f"UV_INDEX_{name}_PASSWORD", password)
    if not password:
        user, password = _netrc(parts.hostname or "", variables) or (user, password)
    return Index(bare, user, password)


def _netrc(host: str, variables: Environment) -> tuple[str, str] | None:
    file = Path(variables.get("NETRC") or Path.home() / ".netrc")
    try:
        found = netrc.netrc(file).authenticators(host) if host else None
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2] or "") if found else None


def _names(variables: Environment) -> Iterator[tuple[str, str]]:
    """Address to the name that uv's variables for credentials go by."""
    for text in (variables.get("UV_INDEX", ""), variables.get("UV_DEFAULT_INDEX", "")):
        for each in text.split():
            name, equals, url = each.partition("=")
            if equals and "/" not in name:
                yield url.rstrip("/"), name
    for body in map(_toml, _files(variables)):
        for index in body.get("index", ()):
            yield str(index.get("url", "")).rstrip("/"), str(index.get("name", ""))


def _files(variables: Environment) -> Iterator[Path]:
    if "UV_CONFIG_FILE" in variables:
        yield Path(variables["UV_CONFIG_FILE"])
        return
    home = Path(variables.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    yield from (home / "uv/uv.toml", Path("/etc/uv/uv.toml"))


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # uv's own business


def _pip(variables: Environment) -> str:
    """The index that pip is configured with, "": none."""
    if "PIP_INDEX_URL" in variables:
        return variables["PIP_INDEX_URL"]
    home = Path(variables.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    files = [
        Path(variables.get("PIP_CONFIG_FILE") or home / "pip/pip.conf"),
        *(Path.home() / ".pip/pip.conf", Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf")),
    ]
    return next(filter(None, map(_index_url, files)), "")


def _index_url(file: Path) -> str:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return ""  # pip's own business
    return parser.get("global", "index-url", fallback="")
