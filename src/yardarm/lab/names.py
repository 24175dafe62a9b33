"""What a lab device and its parts are called.

Names of interfaces, namespaces and the bridge carry a tag of the lab's folder, so that labs in
other folders are never touched.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from yardarm.errors import UsageError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


def folder() -> Path:
    """Where lab devices live: `$YARDARM_LAB`, or /var/lib/yardarm-lab."""
    return Path(os.environ.get("YARDARM_LAB") or "/var/lib/yardarm-lab").resolve()


@dataclass(frozen=True)
class Lab:
    """A folder of devices with a bridge that joins them."""

    folder: Path

    @property
    def tag(self) -> str:
        return hashlib.sha256(bytes(self.folder)).hexdigest()[:6]

    @property
    def bridge(self) -> str:
        return f"yard-{self.tag}"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    def device(self, name: str) -> Path:
        return self.folder / "devices" / name

    def namespace(self, name: str) -> str:
        return f"yardarm-{self.tag}-{name}"

    def interface(self, number: int) -> str:
        """The host's end of device `number`'s cable; the kernel takes 15 characters."""
        return f"yard-{self.tag}-{number}"


def check(name: str) -> str:
    """Raises UsageError for a name that can't be a host's."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a lab device can't be called {name!r}",
            hint="1 to 32 of a-z, 0-9 and -, not starting or ending with -",
        )
    return name
