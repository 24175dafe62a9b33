"""The push plan: which bytes go, decided purely from what is needed and what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yardarm.digest import Digest


@dataclass(frozen=True)
class Transfer:
    """A blob to be sent from `offset` on; sizes in bytes."""

    digest: Digest
    size: int
    offset: int


@dataclass(frozen=True)
class PushPlan:
    """What is sent, and what the device has already."""

    transfers: tuple[Transfer, ...]
    present: tuple[Digest, ...]
    total: int

    @property
    def bytes(self) -> int:
        """Bytes to be sent, before they are compressed."""
        return sum(transfer.size - transfer.offset for transfer in self.transfers)


def plan(needed: Mapping[Digest, int], there: Mapping[str, Mapping[str, Any]]) -> PushPlan:
    """Small blobs first, so that what is cheap to check fails early.

    Args:
        needed: size of every blob of the release.
        there: the device's answer for each: complete, or the offset of a partial one. A
            partial one longer than the blob itself can't be continued by anybody.
    """
    missing = [
        Transfer(digest, size, min(int(there[digest]["offset"]), size))
        for digest, size in needed.items()
        if not there[digest]["complete"]
    ]
    return PushPlan(
        tuple(sorted(missing, key=lambda item: (item.size, item.digest))),
        tuple(sorted(digest for digest in needed if there[digest]["complete"])),
        sum(needed.values()),
    )
