"""Arrays in npy format, read piece by piece from wherever they lie."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from yardarm.datasets.dataset import Array, Member
from yardarm.errors import InvalidInput

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)
PIECE = 1 << 20


class Streams:
    """Arrays by name, each a stream in npy format; batches are read off them in order."""

    kind = "data file"
    remedy = ""

    def __init__(self, file: Path, members: Mapping[str, Member]) -> None:
        self.file = file
        self.members = members

    def opened(self, stack: ExitStack, names: Sequence[str]) -> dict[str, IO[bytes]]:
        """The streams, open until the stack unwinds; may raise any of `DAMAGED`."""
        raise NotImplementedError

    def batches(
        self, size: int, moving: Sequence[str], whole: Sequence[str]
    ) -> Iterator[dict[str, Array]]:
        with ExitStack() as stack:
            try:
                streams = self.opened(stack, [*moving, *whole])
                for stream in streams.values():
                    header(stream)
            except DAMAGED as error:
                raise self.damaged(error) from None
            held = {name: self._read(streams[name], name, self._shape(name)) for name in whole}
            samples = self._shape(moving[0])[0] if moving else 1
            for start in range(0, samples, size):
                count = min(size, samples - start)
                yield held | {
                    name: self._read(streams[name], name, (count, *self._shape(name)[1:]))
                    for name in moving
                }

    def damaged(self, error: Exception) -> InvalidInput:
        return InvalidInput(
            f"not a readable {self.kind}: {error}", where=str(self.file), hint=self.remedy
        )

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(axis or 0 for axis in self.members[name].shape)

    def _read(self, stream: IO[bytes], name: str, shape: tuple[int, ...]) -> Array:
        array: Array = np.empty(shape, self.members[name].dtype)
        try:
            _fill(stream, array)
        except DAMAGED as error:
            raise self.damaged(error) from None
        return array


def member(stream: IO[bytes], size: int, where: str) -> Member:
    """What an array of `size` bytes, header included, says it is.

    Raises:
        InvalidInput: Python objects, Fortran order, or another size than its header says.
        DAMAGED: it is no npy.
    """
    shape, fortran, dtype = header(stream)
    held = size - stream.tell()
    if dtype.hasobject:
        raise InvalidInput("holds Python objects, not numbers", where=where)
    if dtype.names:
        raise InvalidInput("holds records, not numbers", where=where)
    if fortran and len(shape) > 1:
        raise InvalidInput(
            "is in Fortran order", where=where, hint="save it through numpy.ascontiguousarray"
        )
    if held != dtype.itemsize * math.prod(shape):
        raise InvalidInput(f"has {held} bytes, too few or many for its shape", where=where)
    return Member(dtype, shape)


def header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return shape, fortran, dtype


def _fill(stream: IO[bytes], array: Array) -> None:
    """Read exactly the array's bytes, without a second copy of them."""
    if not array.size or not array.itemsize:
        return
    view = array.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(view):
        piece = stream.read(min(len(view) - done, PIECE))
        if not piece:
            raise EOFError("an array ends early")
        view[done : done + len(piece)] = piece
        done += len(piece)
