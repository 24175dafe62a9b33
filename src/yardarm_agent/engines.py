"""Engines that are kept here: built here, or handed over with a signature.

One that was built here has no signature, and none is ever made here: who hands it to another
device has to sign it himself.
"""

from __future__ import annotations

import json
import os
import stat
import time
from contextlib import contextmanager
from typing import IO, Iterator, List, NamedTuple

from yardarm_agent import daemon
from yardarm_agent.layout import Layout, hexadecimal
from yardarm_agent.unpack import remove
from yardarm_wire import engines as wire
from yardarm_wire.engines import Key, Record
from yardarm_wire.problems import InUse, Invalid

PARTIAL = ".partial-"
ABANDONED = 3600.0
"""Seconds after which nobody writes to a partial file any more. What the device is gets written
without the folder for oneself."""

LARGEST_NOTE = 1 << 16
"""Bytes of a record or a signature."""


class Kept(NamedTuple):
    """An engine of the folder."""

    record: Record
    folder: str

    @property
    def plan(self) -> str:
        return os.path.join(self.folder, wire.PLAN)


def kept(layout: Layout) -> List[Kept]:
    """Those that are whole, as far as can be seen without reading plans."""
    names = sorted(os.listdir(layout.engines))
    found = [at(os.path.join(layout.engines, name)) for name in names]
    return [item for item in found if item is not None]


def at(folder: str) -> "Kept | None":
    """The engine in a folder that is named by its key; None: none, or half of one. Nothing is
    followed that a build may have linked: from out here it leads elsewhere."""
    plan = os.path.join(folder, wire.PLAN)
    try:
        record = Record.parse(note(os.path.join(folder, wire.RECORD)))
        state = os.lstat(plan)
        plain = stat.S_ISDIR(os.lstat(folder).st_mode) and stat.S_ISREG(state.st_mode)
    except (OSError, ValueError):
        return None
    named = os.path.basename(folder) == hexadecimal(record.key.digest())
    return Kept(record, folder) if plain and named and state.st_size == record.size else None


def note(path: str) -> bytes:
    """A small file, which is no link. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:
        return stream.read(LARGEST_NOTE)


def find(layout: Layout, key: Key) -> "Kept | None":
    return at(wire.folder(layout.engines, key))


def differences(layout: Layout, key: Key) -> List[str]:
    """In what the nearest engine of the same model is another one; [] where there is none."""
    others = [item.record.key for item in kept(layout) if item.record.key.model == key.model]
    return min((key.differences(other) for other in others), key=len, default=[])


def read(layout: Layout, digest: str, offset: int, size: int) -> bytes:
    """A piece of the plan that is kept under the digest of its key; b"" beyond its end."""
    found = at(os.path.join(layout.engines, hexadecimal(digest)))
    if found is None:
        raise Invalid("there is no such engine", digest)
    with open(found.plan, "rb") as stream:
        stream.seek(min(offset, found.record.size))
        return stream.read(size)


def whole(item: Kept) -> bool:
    """Whether the plan's bytes are those of its record."""
    return wire.of_file(item.plan) == item.record.engine


def drop(layout: Layout, item: Kept) -> None:
    """Remove one that is damaged. Raises InUse where somebody builds."""
    with owned(layout):
        remove(item.folder)


@contextmanager
def owned(layout: Layout) -> Iterator[IO[str]]:
    """The folder for oneself for the length of a block, after which nothing half-done is in
    it. Raises InUse where somebody builds."""
    lock = daemon.hold(layout, "engines")
    if lock is None:
        raise InUse("an engine is being built on this device", "", "wait for it to end")
    try:
        yield lock
    finally:
        try:
            _clean(layout)
        finally:
            lock.close()


def discard_partial(layout: Layout) -> None:
    """Remove what builds and placements left half-done, unless one is under way."""
    try:
        with owned(layout):
            pass
    except InUse:
        pass


def _clean(layout: Layout) -> None:
    for name in os.listdir(layout.engines):
        path = os.path.join(layout.engines, name)
        half = os.path.isdir(path) and at(path) is None
        if half or (PARTIAL in name and _age(path) > ABANDONED):
            remove(path)


def _age(path: str) -> float:
    try:
        return time.time() - os.lstat(path).st_mtime
    except FileNotFoundError:  # whoever wrote it is done
        return 0.0


def sweep(layout: Layout, digests: "List[str | None]") -> None:
    """Remove the engines of models that none of these releases has."""
    models = {_model(layout, digest) for digest in digests if digest is not None}
    unused = [item for item in kept(layout) if item.record.key.model not in models]
    if not unused:
        return
    try:
        with owned(layout):
            for item in unused:
                remove(item.folder)
    except InUse:
        pass  # the next activation does it


def _model(layout: Layout, digest: str) -> "str | None":
    try:
        with open(os.path.join(layout.release(digest), "release.json"), "rb") as stream:
            release = json.load(stream)
    except FileNotFoundError:
        return None
    model: str = release["bundles"]["main"]["files"]["model.onnx"]["digest"]
    return model
