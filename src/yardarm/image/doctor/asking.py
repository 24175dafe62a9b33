"""An index's pages and packages' metadata, each asked for once."""

from __future__ import annotations

import email.parser
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from yardarm.errors import Unreachable, YardarmError
from yardarm.image.doctor import simple
from yardarm.image.doctor.judging import Release, releases
from yardarm.image.doctor.simple import File
from yardarm.image.indexes import Index, all_count
from yardarm.image.requirements import Request
from yardarm.image.web import Web

_AT_ONCE = 8


class Asking:
    """What the user's indexes have, as far as a target is concerned."""

    def __init__(self, wanted: Request, indexes: Sequence[Index], web: Web | None = None) -> None:
        self._wanted = wanted
        self._indexes = indexes
        self._web = web or Web(indexes)
        self._all_count = all_count()
        self._releases: dict[str, tuple[Release, ...]] = {}
        self._requirements: dict[str, tuple[Requirement, ...]] = {}

    def prepare(self, packages: Iterable[str]) -> None:
        """Ask for several packages at once. Raises as `releases` does."""
        missing = sorted(set(packages) - self._releases.keys())
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for package, files in zip(missing, pool.map(self._files, missing), strict=True):
                self._releases[package] = releases(files, self._wanted)

    def releases(self, package: str) -> tuple[Release, ...]:
        """All versions that there are, newest first.

        Args:
            package: its name as indexes write it.

        Raises:
            Unreachable, InvalidInput, VerificationFailed: as `Web.get` does.
        """
        self.prepare([package])
        return self._releases[package]

    def prepare_requirements(self, wheels: Iterable[File]) -> None:
        """Ask for the metadata of several wheels at once. Raises as `releases` does."""
        missing = {file.url: file for file in wheels if file.url not in self._requirements}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(self._metadata, missing.values())
            self._requirements.update(zip(missing, map(_required, found), strict=True))

    def requirements(self, wheel: File) -> tuple[Requirement, ...]:
        """What a wheel's metadata asks for, markers unheeded. Raises as `releases` does."""
        self.prepare_requirements([wheel])
        return self._requirements[wheel.url]

    def _files(self, package: str) -> tuple[File, ...]:
        """Folders of files count together with the first index that has the package, or all."""
        found: list[File] = []
        for index in self._indexes:
            page = index.url if index.flat else f"{index.url.rstrip('/')}/{package}/"
            files = self._page(page, package)
            found += files
            if files and not index.flat and not self._all_count:
                break
        return tuple(found)

    def _page(self, url: str, package: str) -> tuple[File, ...]:
        if os.environ.get("UV_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
            raise Unreachable("uv is told to stay offline", hint="unset UV_OFFLINE")
        answer = self._web.get(url, simple.ACCEPT)
        if answer is None:
            return ()
        try:
            return simple.parse(*answer, url, package)
        except ValueError as error:
            raise YardarmError(
                f"the index's answer can't be read: {error}", where=urlsplit(url).path
            ) from None

    def _metadata(self, wheel: File) -> bytes:
        beside = self._web.get(f"{wheel.url}.metadata") if wheel.metadata else None
        if beside:
            return beside[0]
        return self._web.member(wheel.url, ".dist-info/METADATA") or b""


def _required(metadata: bytes) -> tuple[Requirement, ...]:
    headers: Any = email.parser.BytesHeaderParser().parsebytes(metadata)
    found = []
    for text in headers.get_all("Requires-Dist") or ():
        try:
            found.append(Requirement(text))
        except InvalidRequirement:
            continue  # from before there were rules; installers pass over it too
    return tuple(found)
