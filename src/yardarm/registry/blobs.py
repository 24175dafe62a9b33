"""One blob from a registry into the store: checked while it streams, resumed when cut."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from yardarm.artifacts import Descriptor
from yardarm.errors import Unreachable, VerificationFailed
from yardarm.registry.client import Client
from yardarm.registry.connections import Answer, Cut
from yardarm.registry.transport import ATTEMPTS, FIRST_WAIT
from yardarm.store import BlobWriter, Store


def fetch(client: Client, blob: Descriptor, store: Store, arrived: Callable[[int], None]) -> None:
    """Bring a blob into the store, whole or not at all.

    Args:
        arrived: is told the size of each piece.

    Raises:
        InvalidInput: the registry has no such blob.
        Unreachable: the connection broke several times without a byte in between.
        VerificationFailed: size or digest are not the descriptor's.
    """
    with store.writer() as writer:
        arrival = _Arrival(client, blob, writer, arrived)
        arrival.complete()
        if writer.digest != blob.digest:
            raise VerificationFailed(
                "the blob that arrived is not the one that its digest names", where=arrival.where
            )
        writer.commit(blob.media_type, blob.annotations)


@dataclass(frozen=True)
class _Arrival:
    """A blob that is on its way into `writer`."""

    client: Client
    blob: Descriptor
    writer: BlobWriter
    arrived: Callable[[int], None]

    @property
    def where(self) -> str:
        return f"{self.client.reference.registry}/{self.client.repository}@{self.blob.digest}"

    def complete(self) -> None:
        """Ask for the rest until all is there. Raises as `fetch` does."""
        idle = 0
        while True:
            before, broken = self.writer.size, ""
            try:
                with self.client.open_blob(self.blob.digest, before) as answer:
                    self._append(answer)
            except Cut as error:
                broken = str(error)
            if self.writer.size == self.blob.size:
                return
            if not broken and self.writer.size == before:
                raise self._truncated()
            idle = 1 if self.writer.size > before else idle + 1
            if idle > ATTEMPTS:
                raise Unreachable(f"the connection breaks each time: {broken}", where=self.where)
            self.client.transport.wait(FIRST_WAIT * idle)

    def _append(self, answer: Answer) -> None:
        if self.writer.size and answer.status == 416:
            raise self._truncated()
        resumes = _offset(answer) == self.writer.size > 0
        self.client.expect(answer, (206,) if resumes else (200,), self.where)
        known = 0 if resumes else self.writer.size  # a registry that knows no ranges
        for piece in answer.pieces():
            self.client.transport.check()
            new = piece[known:]
            known -= len(piece) - len(new)
            if self.writer.size + len(new) > self.blob.size:
                raise VerificationFailed(
                    f"the blob is larger than the {self.blob.size} bytes of its descriptor",
                    where=self.where,
                )
            self.writer.write(new)
            self.arrived(len(new))

    def _truncated(self) -> VerificationFailed:
        return VerificationFailed(
            f"the blob is truncated: {self.writer.size} of {self.blob.size} bytes",
            where=self.where,
            hint="the registry's copy is damaged: push the image again",
        )


def _offset(answer: Answer) -> int | None:
    """Where a part begins, None for a whole."""
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if answer.status == 206 and found else None
