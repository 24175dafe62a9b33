"""One blob into a registry: not at all, by a mount, in one request, or in chunks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from yardarm.artifacts import Descriptor
from yardarm.errors import InvalidInput, Unreachable, VerificationFailed
from yardarm.registry.answers import LONGEST_ERROR
from yardarm.registry.client import Client, pulling
from yardarm.registry.connections import Answer, Cut, Part
from yardarm.registry.transport import ATTEMPTS, FIRST_WAIT

CHUNK = 32 << 20
"""Bytes of a request. A broken connection costs no more than one."""


class Way(Enum):
    """What became of a blob that the registry was to have."""

    THERE = "there already"
    MOUNTED = "mounted from another repository"
    SENT = "sent"


def ensure(
    client: Client, blob: Descriptor, file: Path, known: str | None, sent: Callable[[int], None]
) -> Way:
    """See to it that the repository has the blob.

    Args:
        known: another repository that may have it.
        sent: is told the size of each piece that went out.

    Raises:
        InvalidInput: no right to push; the blob is neither there nor in the store.
        Unreachable: the connection broke several times, or the registry fails.
        VerificationFailed: what arrived there is not the blob.
    """
    if client.has_blob(blob.digest):
        return Way.THERE
    upload = Upload(client, blob, file, sent)
    place = upload.mounted(known) if known else upload.begun()
    if place is None:
        return Way.MOUNTED
    if not file.is_file():
        raise upload.missing()
    upload.send(place)
    return Way.SENT


@dataclass(frozen=True)
class _Place:
    """An upload that the registry has begun: where it goes on, and from which byte."""

    url: str
    offset: int = 0
    least: int = 0  # bytes that a chunk must have


class Upload:
    """A blob on its way out."""

    def __init__(
        self, client: Client, blob: Descriptor, file: Path, sent: Callable[[int], None]
    ) -> None:
        self._client = client
        self._blob = blob
        self._file = file
        self._sent = sent
        self._moved = 0

    def mounted(self, repository: str) -> _Place | None:
        """Have the registry take the blob from another repository of its own; where it does not,
        the upload that it begins instead."""
        target = self._start + f"?mount={self._blob.digest}&from={repository}"
        scopes = (*self._client.scopes, *pulling(repository))
        try:
            answer = self._client.transport.send("POST", target, scopes, body=b"")
        except InvalidInput:
            return self.begun()  # no right to look there
        with answer:
            if answer.status == 201:
                return None
            return _place(answer) if answer.status == 202 else self.begun()

    def begun(self) -> _Place:
        """A new upload."""
        with self._client.transport.send(
            "POST", self._start, self._client.scopes, body=b""
        ) as answer:
            self._client.expect(answer, (202,), self._where)
            return _place(answer)

    def send(self, place: _Place) -> None:
        """Send the blob; after a cut, go on from where the registry says that it is."""
        idle = 0
        while True:
            try:
                while self._blob.size - place.offset > max(CHUNK, place.least):
                    place, idle = self._chunk(place), 0
                self._close(place)
                return
            except Cut as error:
                idle += 1
                if idle > ATTEMPTS:
                    raise self._broken(error) from None
            self._client.transport.wait(FIRST_WAIT * idle)
            if self._client.has_blob(self._blob.digest):
                return  # only the answer was lost
            place = self._resumed(place)
            self._count(place.offset - self._moved)

    @property
    def _start(self) -> str:
        return self._client.path("blobs/uploads/")

    @property
    def _where(self) -> str:
        return f"{self._client.reference.registry}/{self._client.repository}@{self._blob.digest}"

    def _chunk(self, place: _Place) -> _Place:
        size = max(CHUNK, place.least)
        with self._put("PATCH", place.url, place.offset, size, part=True) as answer:
            if answer.status == 416:
                raise Cut("the registry is elsewhere")
            self._client.expect(answer, (202, 204), self._where)
            return replace(place, url=_location(answer), offset=place.offset + size)

    def _close(self, place: _Place) -> None:
        url = f"{place.url}{'&' if '?' in place.url else '?'}digest={self._blob.digest}"
        rest = self._blob.size - place.offset
        with self._put("PUT", url, place.offset, rest, part=place.offset > 0) as answer:
            if answer.status == 416:
                raise Cut("the registry is elsewhere")
            if answer.status == 400 and b"DIGEST_INVALID" in answer.read(LONGEST_ERROR):
                raise VerificationFailed(
                    "what the registry got is not the blob that its digest names",
                    where=self._where,
                    hint="if it stays so, the store is damaged: delete it and run again",
                )
            self._client.expect(answer, (201, 202, 204), self._where)

    def _put(self, method: str, url: str, offset: int, size: int, *, part: bool) -> Answer:
        headers = {"Content-Type": "application/octet-stream"}
        if part:
            headers["Content-Range"] = f"{offset}-{offset + size - 1}"
        body = Part(self._file, offset, size, self._count)
        return self._client.transport.send(
            method, url, self._client.scopes, headers=headers, body=body, again=False
        )

    def _resumed(self, place: _Place) -> _Place:
        """Where the registry is with the upload, or a new one where it has lost it."""
        with self._client.transport.send("GET", place.url, self._client.scopes) as answer:
            held = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
            if answer.status == 204 and held:
                offset = int(held[1]) + 1 if held[1] != "0" else 0  # 0-0: docker's word for none
                return replace(place, url=_location(answer) or place.url, offset=offset)
        return self.begun()

    def _count(self, size: int) -> None:
        self._moved += size
        self._sent(size)

    def missing(self) -> InvalidInput:
        return InvalidInput(
            "a layer of the image is neither in the store nor in the registry",
            where=self._where,
            hint="push to the registry that has the base, or copy the base there",
        )

    def _broken(self, error: Cut) -> Unreachable:
        return Unreachable(f"the connection breaks each time: {error}", where=self._where)


def _place(answer: Answer) -> _Place:
    least = answer.headers.get("OCI-Chunk-Min-Length", "")
    return _Place(_location(answer), least=int(least) if least.isdigit() else 0)


def _location(answer: Answer) -> str:
    location = answer.headers.get("Location", "")
    return answer.following(location) if location else ""
