"""A folder of .npy files: each is an array, named as the file is.

A name with "/" lies in subfolders. What a file's name can't hold, or the other system doesn't
like, is written as in a URL: "x%3A0.npy" is the array "x:0", "%2Fx.npy" is "/x", "%25" is "%".
Files whose name begins with a dot are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from yardarm.datasets.dataset import Member
from yardarm.datasets.npy import DAMAGED, Streams, member
from yardarm.digest import Digest, of_file, of_json
from yardarm.errors import InvalidInput


class Folder(Streams):
    """A folder and the folders below it.

    Raises:
        InvalidInput: an array can't be read, or two files have the same name decoded.
    """

    kind = "folder of .npy files"
    remedy = "write them with numpy.save"

    def __init__(self, file: Path) -> None:
        super().__init__(file, {})
        self._files: dict[str, Path] = {}
        for path in sorted(file.rglob("*.npy")):
            if not any(part.startswith(".") for part in path.relative_to(file).parts):
                self._add(path)
        self.members = {name: self._member(name) for name in self._files}

    def _add(self, path: Path) -> None:
        name = unquote(path.relative_to(self.file).with_suffix("").as_posix(), errors="strict")
        if name in self._files:
            raise InvalidInput(
                f"{self._files[name].name} and {path.name} both hold the array {name!r}",
                where=str(self.file),
            )
        self._files[name] = path

    def _member(self, name: str) -> Member:
        path = self._files[name]
        try:
            with path.open("rb") as stream:
                return member(stream, path.stat().st_size, str(path))
        except DAMAGED as error:
            raise InvalidInput(
                f"not a readable .npy file: {error}", where=str(path), hint=self.remedy
            ) from None

    def opened(self, stack: ExitStack, names: Sequence[str]) -> dict[str, IO[bytes]]:
        return {name: stack.enter_context(self._files[name].open("rb")) for name in names}

    def digest(self) -> Digest:
        return of_json({name: of_file(path) for name, path in self._files.items()})
