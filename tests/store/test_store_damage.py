"""A store whose bookkeeping was damaged, and a disk that fills up while it is written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from yardarm.artifacts import MEDIA_EMPTY
from yardarm.digest import of_bytes
from yardarm.errors import InvalidInput
from yardarm.store import Store

KEY = of_bytes(b"inputs of a step")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"manifests": 3}', '{"manifests": ["x"]}'])
def test_a_damaged_index_is_named(text: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.put_manifest(config=store.put(b"{}", MEDIA_EMPTY), layers=[], reference="a")
    (store.root / "index.json").write_text(text)
    with pytest.raises(InvalidInput, match="index") as raised:
        store.resolve("a")
    assert raised.value.where == str(store.root / "index.json") and raised.value.hint
    with pytest.raises(InvalidInput):
        store.put_manifest(config=store.put(b"{}", MEDIA_EMPTY), layers=[], reference="a")


@pytest.mark.parametrize("data", [b"", b'{"blob": ', b"\xff\xfe"])
def test_a_damaged_record_counts_as_not_done(data: bytes, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.record_step(KEY, {"blob": "x"})
    (file,) = (store.root / "steps").iterdir()
    file.write_bytes(data)
    assert store.step(KEY) is None
    store.record_step(KEY, {"blob": "y"})
    assert store.step(KEY) == {"blob": "y"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.root
def test_a_full_disk_keeps_no_part_of_a_blob(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    with pytest.raises(OSError, match="No space left"), store.writer() as writer:
        for _ in range(400):
            writer.write(b"x" * 1000)
        writer.commit(MEDIA_EMPTY)
    assert not list(small_disk.rglob(".partial-*"))


def test_what_killed_writers_left_goes_after_a_day(tmp_path: Path) -> None:
    first = Store(tmp_path / "store")
    blobs = first.path(first.put(b"there", "text/plain").digest).parent
    old, fresh = blobs / ".partial-old", blobs / ".partial-fresh"
    for file in (old, fresh):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))

    Store(tmp_path / "store").put(b"more", "text/plain")

    assert (old.exists(), fresh.exists()) == (False, True)
