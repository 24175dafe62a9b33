"""An npz archive: each array is one entry, stored or deflated, and decompressed piece by piece."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from yardarm.datasets.dataset import Member
from yardarm.datasets.npy import DAMAGED, Streams, member
from yardarm.digest import Digest, of_file

SUFFIX = ".npy"


class Archive(Streams):
    """An npz file.

    Raises:
        InvalidInput: not an npz, or an array of it can't be read.
    """

    kind = "npz archive"
    remedy = "write it with numpy.savez"

    def __init__(self, file: Path) -> None:
        super().__init__(file, {})
        try:
            with zipfile.ZipFile(file) as archive:
                entries = [name for name in archive.namelist() if name.endswith(SUFFIX)]
                self.members = {_stem(entry): self._member(archive, entry) for entry in entries}
        except DAMAGED as error:
            raise self.damaged(error) from None

    def _member(self, archive: zipfile.ZipFile, entry: str) -> Member:
        with archive.open(entry) as stream:
            size = archive.getinfo(entry).file_size
            return member(stream, size, f"{self.file}: {_stem(entry)}")

    def opened(self, stack: ExitStack, names: Sequence[str]) -> dict[str, IO[bytes]]:
        archive = stack.enter_context(zipfile.ZipFile(self.file))
        return {name: stack.enter_context(archive.open(f"{name}{SUFFIX}")) for name in names}

    def digest(self) -> Digest:
        return of_file(self.file)


def _stem(entry: str) -> str:
    return entry.removesuffix(SUFFIX)
