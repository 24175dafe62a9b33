"""The user that images run as: no root, with a folder of its own to work in."""

from __future__ import annotations

from collections.abc import Iterator

from yardarm.image import entries
from yardarm.image.entries import Entry
from yardarm.image.spec import BUNDLE, ENGINES, WORK

NAME = "yardarm"
NUMBER = 10001
VIDEO = 44
"""The group to which L4T gives the GPU's device files."""


def user(target: str) -> str:
    """User and group of the image's config, by the profile's target."""
    return f"{NUMBER}:{VIDEO if target == 'tensorrt' else NUMBER}"


def added(passwd: bytes, group: bytes) -> Iterator[Entry]:
    """The base's lists of users and groups with ours, and where containers are shown things.

    /work can be written to by everybody, as /tmp: the owner of what is mounted there is the
    one who mounts it.
    """
    line = f"{NAME}:x:{NUMBER}:{NUMBER}::{WORK}:/usr/sbin/nologin\n"
    yield entries.file("etc/passwd", _with(passwd, line))
    yield entries.file("etc/group", _with(group, f"{NAME}:x:{NUMBER}:\n"))
    yield entries.folder(WORK.strip("/"), sticky=True)
    yield entries.folder(BUNDLE.strip("/"))
    yield entries.folder(ENGINES.strip("/"))


def _with(table: bytes, line: str) -> bytes:
    """A table with a line, unless its number is taken there: then it is the base's."""
    taken = f":{NUMBER}:".encode()
    whole = table if not table or table.endswith(b"\n") else table + b"\n"
    return whole if any(taken in each for each in table.splitlines()) else whole + line.encode()
