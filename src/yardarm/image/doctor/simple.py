"""What an index has of a package: the simple API as JSON (PEP 691) or HTML (PEP 503, 658, 592)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

_API = "application/vnd.pypi.simple.v1"
ACCEPT = f"{_API}+json, {_API}+html;q=0.2, text/html;q=0.1"


@dataclass(frozen=True)
class File:
    """A file of a package.

    Attributes:
        size: bytes, None where the index doesn't say.
        python: the versions that it is for, as a specifier; "": any.
        yanked: why it was withdrawn; None: it was not.
        metadata: whether the index has its metadata beside it (PEP 658).
    """

    name: str
    url: str
    version: Version
    size: int | None = None
    python: str = ""
    yanked: str | None = None
    metadata: bool = False

    @property
    def wheel(self) -> bool:
        return self.name.endswith(".whl")


def parse(body: bytes, media_type: str, url: str, package: str) -> tuple[File, ...]:
    """The files on a package's page; what is neither a wheel nor an sdist of it is left out.

    Args:
        url: of the page, which addresses may be relative to.

    Raises:
        ValueError: it is not such a page.
    """
    read = _json if "json" in media_type else _html
    found = (_file(entry, url, canonicalize_name(package)) for entry in read(body))
    return tuple(file for file in found if file)


def _file(entry: Mapping[str, Any], page: str, package: str) -> File | None:
    url = urldefrag(urljoin(page, str(entry["url"]))).url
    name = str(entry.get("filename") or unquote(urlsplit(url).path.rpartition("/")[2]))
    try:
        found, version = (
            parse_wheel_filename(name)[:2] if name.endswith(".whl") else parse_sdist_filename(name)
        )
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None  # eggs, installers, signatures, names from before there were rules
    if found != package:
        return None
    yanked = entry.get("yanked", False)
    return File(
        name,
        url,
        version,
        size=entry.get("size"),
        python=str(entry.get("requires-python") or ""),
        yanked=None if yanked is False or yanked is None else _reason(yanked),
        metadata=bool(entry.get("core-metadata") or entry.get("dist-info-metadata")),
    )


def _reason(yanked: object) -> str:
    return yanked if isinstance(yanked, str) and yanked else "no reason is given"


def _json(body: bytes) -> list[Mapping[str, Any]]:
    try:
        files = json.loads(body)["files"]
        return [entry for entry in files if isinstance(entry, dict) and "url" in entry]
    except (KeyError, TypeError):
        raise ValueError("it has no list of files") from None


def _html(body: bytes) -> Iterator[Mapping[str, Any]]:
    parser = _Links()
    parser.feed(body.decode("utf-8", errors="replace"))
    for attributes in parser.found:
        data = {key.removeprefix("data-"): value for key, value in attributes.items()}
        marked = {"core-metadata", "dist-info-metadata"} & data.keys()
        yield {
            "url": attributes["href"],
            "requires-python": data.get("requires-python"),
            "yanked": data["yanked"] or True if "yanked" in data else False,
            "core-metadata": any(data[key] != "false" for key in marked),
        }


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {key: value or "" for key, value in attrs}
        if tag == "a" and "href" in attributes:
            self.found.append(attributes)
