"""Labelled samples in npz archives, read batch by batch: a set may be larger than memory.

Each array of an archive is one member, stored or deflated, and its first axis is the sample.
Members are decompressed piece by piece as batches are asked for.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from yardarm.artifacts import Layout
from yardarm.errors import InvalidInput

Array = NDArray[np.generic]
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)


@dataclass(frozen=True)
class Tensor:
    """What a model's input or output is: `shape` without limits where an axis is None."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Member:
    """An array of an archive: its type, and its shape with the sample axis first."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Dataset:
    """An npz archive that was looked into, not read."""

    file: Path
    members: Mapping[str, Member]
    layout: Layout = field(default_factory=Layout)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.members)

    @property
    def samples(self) -> int:
        """The common length of the first axis of what isn't constant."""
        constant = self.layout.constant
        return next(m.shape[0] for name, m in self.members.items() if name not in constant)

    def batches(
        self, size: int, names: Sequence[str] | None = None
    ) -> Iterator[dict[str, NDArray[np.generic]]]:
        """The arrays `names` (default: all), `size` samples at a time; the last may be shorter.

        Constant arrays come whole with every batch.

        Raises:
            InvalidInput: the archive is damaged, or a float is NaN or infinite (array and
                sample are named).
        """
        chosen = tuple(names) if names is not None else self.names
        with ExitStack() as stack:
            archive = stack.enter_context(_archive(self.file))
            streams = {name: stack.enter_context(self._open(archive, name)) for name in chosen}
            whole = {name: self._whole(streams[name], name) for name in chosen if self._fixed(name)}
            moving = [name for name in chosen if name not in whole]
            for start in range(0, self.samples, size):
                count = min(size, self.samples - start)
                parts = {name: self._read(streams[name], name, start, count) for name in moving}
                yield whole | parts

    def read(self, name: str) -> NDArray[np.generic]:
        """One whole array: for labels, which are small.

        Raises:
            InvalidInput: as `batches`.
        """
        (batch,) = self.batches(self.samples, [name])
        return batch[name]

    def _fixed(self, name: str) -> bool:
        return name in self.layout.constant

    def _whole(self, stream: IO[bytes], name: str) -> Array:
        shape = self.members[name].shape
        if not shape:
            return self._read(stream, name, 0, 1).reshape(())
        return self._read(stream, name, 0, shape[0])

    def _open(self, archive: zipfile.ZipFile, name: str) -> IO[bytes]:
        try:
            stream = archive.open(f"{name}.npy")
            _header(stream)
        except DAMAGED as error:
            raise _damaged(self.file, error) from None
        return stream

    def _read(self, stream: IO[bytes], name: str, start: int, count: int) -> Array:
        member = self.members[name]
        shape = (count, *member.shape[1:])
        array: Array = np.empty(shape, member.dtype)
        try:
            _fill(stream, array)
        except DAMAGED as error:
            raise _damaged(self.file, error) from None
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            axes = tuple(range(1, array.ndim))
            bad = start + int(np.argmin(np.isfinite(array).all(axis=axes)))
            raise InvalidInput(
                f"sample {bad} has NaN or infinite values",
                where=f"{self.file}: {name}",
                hint="repair the data or leave that sample out",
            )
        return array


def open_dataset(file: Path, layout: Layout | None = None) -> Dataset:
    """Look into an npz archive without reading its arrays.

    Args:
        layout: which arrays are constant; default: none.

    Raises:
        InvalidInput: missing, not an npz, no array, no sample, arrays of unequal length,
            object arrays or Fortran order.
    """
    if not file.is_file():
        raise InvalidInput("there is no such data file", where=str(file))
    try:
        with _archive(file) as archive:
            members = {
                entry.removesuffix(".npy"): _member(archive, entry, file)
                for entry in archive.namelist()
                if entry.endswith(".npy")
            }
    except DAMAGED as error:
        raise _damaged(file, error) from None
    found = Dataset(file, members, layout or Layout())
    _check_lengths(found)
    return found


def check_inputs(dataset: Dataset, inputs: Sequence[Tensor]) -> None:
    """Hold the arrays against what the model takes.

    Raises:
        InvalidInput: an input's array is missing, or differs in dtype or shape; says what
            was expected and what was found.
    """
    for tensor in inputs:
        where = f"{dataset.file}: {tensor.name}"
        found = dataset.members.get(tensor.name)
        if found is None:
            held = ", ".join(dataset.names)
            raise InvalidInput(
                f"the model's input {tensor.name!r} has no array (found: {held})",
                where=str(dataset.file),
                hint="name the arrays as the model's inputs",
            )
        if found.dtype != tensor.dtype:
            raise InvalidInput(f"expected {tensor.dtype}, found {found.dtype}", where=where)
        wanted = _stored(tensor, dataset.layout)
        if not _fits(found.shape, wanted):
            expected = ", ".join("any" if n is None else str(n) for n in wanted)
            shown = ", ".join(map(str, found.shape))
            raise InvalidInput(f"expected shape [{expected}], found [{shown}]", where=where)


def check_labels(dataset: Dataset, name: str) -> None:
    """Raises InvalidInput where the labels are missing."""
    if name not in dataset.members:
        raise InvalidInput(
            f"there is no array {name!r} with the labels (found: {', '.join(dataset.names)})",
            where=str(dataset.file),
            hint="add it, or name the right one as `labels` under [data]",
        )


Expected = tuple[int | str | None, ...]


def _stored(tensor: Tensor, layout: Layout) -> Expected:
    """The shape that an input's array must have; "samples" is the sample axis.

    Raises:
        InvalidInput: the model has no such sample axis.
    """
    if tensor.name in layout.constant:
        return tensor.shape
    if not layout.batch:
        return ("samples", *tensor.shape)
    axis = layout.input_axis.get(tensor.name, 0)
    if not -len(tensor.shape) <= axis < len(tensor.shape):
        raise InvalidInput(
            f"the model's input has no axis {axis} for the samples",
            where=tensor.name,
            hint="name it under `constant_inputs`, or set `batch = 0` to feed samples as they are",
        )
    axis %= len(tensor.shape)
    return ("samples", *tensor.shape[:axis], *tensor.shape[axis + 1 :])


def _fits(found: tuple[int, ...], expected: Expected) -> bool:
    if len(found) != len(expected):
        return False
    return all(want in (None, "samples", have) for have, want in zip(found, expected, strict=True))


def _archive(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except DAMAGED as error:
        raise _damaged(file, error) from None


def _member(archive: zipfile.ZipFile, entry: str, file: Path) -> Member:
    with archive.open(entry) as stream:
        shape, fortran, dtype = _header(stream)
        held = archive.getinfo(entry).file_size - stream.tell()
    where = f"{file}: {entry.removesuffix('.npy')}"
    if dtype.hasobject:
        raise InvalidInput("holds Python objects, not numbers", where=where)
    if fortran and len(shape) > 1:
        raise InvalidInput(
            "is in Fortran order", where=where, hint="save it through numpy.ascontiguousarray"
        )
    if held != dtype.itemsize * math.prod(shape):
        raise InvalidInput(f"has {held} bytes, too few or many for its shape", where=where)
    return Member(dtype, shape)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return shape, fortran, dtype


def _fill(stream: IO[bytes], array: Array) -> None:
    """Read exactly the array's bytes, without a second copy of them."""
    if not array.size:
        return
    view = array.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(view):
        piece = stream.read(min(len(view) - done, 1 << 20))
        if not piece:
            raise EOFError("an array ends early")
        view[done : done + len(piece)] = piece
        done += len(piece)


def _check_lengths(dataset: Dataset) -> None:
    file, constant = dataset.file, dataset.layout.constant
    members = {name: held for name, held in dataset.members.items() if name not in constant}
    if not members:
        raise InvalidInput("there is no array with samples in it", where=str(file))
    for name, member in members.items():
        if not member.shape:
            raise InvalidInput(
                "is a single number, without a sample axis",
                where=f"{file}: {name}",
                hint="name it under `constant_inputs` if the model takes it so",
            )
    lengths = {name: member.shape[0] for name, member in members.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InvalidInput(
            f"the arrays differ in their number of samples: {listed}", where=str(file)
        )
    if not next(iter(lengths.values())):
        raise InvalidInput("it has no samples", where=str(file))


def _damaged(file: Path, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"not a readable npz archive: {error}", where=str(file), hint="write it with numpy.savez"
    )
