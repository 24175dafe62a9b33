"""What the wheel doctor found, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from yardarm.image.doctor.judging import Reason

FITS = "fits"
BEHIND = "behind"
FAILS = "fails"


@dataclass(frozen=True)
class Finding:
    """A package on a target.

    Attributes:
        asked: who asks for what, such as "numpy>=1.21 of onnxruntime".
        version: what the target gets; None: nothing.
        file: the wheel, "" without one; `size`: its bytes, None where nobody says.
        newest: newest version that the index has.
        usable: newest version that the target takes, whoever asks for what.
        reasons: why it is not the newest, or none at all.
        routes: what would do, nearest first.
    """

    name: str
    asked: tuple[str, ...]
    version: str | None
    file: str
    size: int | None
    newest: str | None
    usable: str | None
    reasons: tuple[Reason, ...]
    routes: tuple[str, ...]

    @property
    def status(self) -> str:
        if self.version is None:
            return FAILS
        return FITS if self.version == self.newest else BEHIND

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "status": self.status,
            "asked": list(self.asked),
            "version": self.version,
            "newest": self.newest,
            "usable": self.usable,
            "file": self.file,
            "size_bytes": self.size,
            "reasons": [{"kind": each.kind, "text": each.text} for each in self.reasons],
            "routes": list(self.routes),
        }


@dataclass(frozen=True)
class Report:
    """All findings for a target.

    Attributes:
        locked: whether the versions are those of the lock.
        stale: why the lock no longer matches; "": it does, or there is none.
        conflict: the resolver's words where packages exclude each other.
    """

    profile: str
    target: str
    findings: Sequence[Finding]
    locked: bool = False
    stale: str = ""
    conflict: str = ""

    @property
    def ready(self) -> bool:
        """Whether an image can be made."""
        return not self.conflict and not any(each.status == FAILS for each in self.findings)

    @property
    def size(self) -> int:
        return sum(each.size or 0 for each in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {
            "profile": self.profile,
            "target": self.target,
            "ready": self.ready,
            "locked": self.locked,
            "stale": self.stale,
            "conflict": self.conflict,
            "size_bytes": self.size,
            "packages": [each.to_json() for each in self.findings],
        }
