"""npz archives: members read piece by piece along the first axis, and archives written.

Archives come from outside, so a header is believed only as far as the entry's size bears
it out, and nothing is unpickled.
"""

from __future__ import annotations

import zipfile
import zlib
from typing import IO, Any, Dict, Iterator, Mapping, Optional, Tuple, Union

import numpy as np

from yardarm_runtime.problems import Problem
from yardarm_wire.arrays import SHAPES

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError)


class Member:
    """One array of an archive.

    Attributes:
        name: without the `.npy`.
        dtype, shape: as its header says; axis 0 is the sample.
    """

    def __init__(self, name: str, info: zipfile.ZipInfo, stream: IO[bytes]) -> None:
        self.name = name
        self._stream = stream
        self.shape, fortran, self.dtype = _header(name, stream)
        self._whole = None  # type: Optional[np.ndarray[Any, Any]]
        self._next = 0
        size = self.dtype.itemsize
        for axis in self.shape:
            size *= axis
        if size != info.file_size - stream.tell():
            raise Problem("array %r: its size is not what its header says" % name)
        if fortran and len(self.shape) > 1:
            self._whole = self._values(self.shape[::-1]).T

    @property
    def samples(self) -> int:
        return self.shape[0] if self.shape else 0

    def read(self, count: int) -> np.ndarray[Any, Any]:
        """The next `count` samples, fewer at the end: [n, …]. Raises Problem where damaged."""
        count = min(count, self.samples - self._next)
        self._next += count
        if self._whole is not None:
            return np.ascontiguousarray(self._whole[self._next - count : self._next])
        return self._values((count,) + self.shape[1:])

    def _values(self, shape: Tuple[int, ...]) -> np.ndarray[Any, Any]:
        size = self.dtype.itemsize
        for axis in shape:
            size *= axis
        try:
            data = self._stream.read(size)
            return np.frombuffer(data, self.dtype).reshape(shape)
        except DAMAGED as error:
            raise Problem("array %r is damaged: %s" % (self.name, error)) from None


def _header(name: str, stream: IO[bytes]) -> Tuple[Tuple[int, ...], bool, Any]:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
        else:
            raise Problem("array %r: npy format %s is not read" % (name, version))
    except DAMAGED as error:
        raise Problem("array %r is not a npy file: %s" % (name, error)) from None
    if dtype.hasobject or dtype.names:
        raise Problem("array %r: dtype %s is not read" % (name, dtype))
    return shape, fortran, dtype


class Ragged:
    """Samples that differ in shape: all their values in one member, their shapes in another.

    Attributes:
        name, samples: as a member's.
    """

    def __init__(self, values: Member, shapes: np.ndarray[Any, Any]) -> None:
        self.name = values.name
        sizes = shapes.prod(axis=1) if shapes.ndim == 2 else np.array([-1])
        if shapes.dtype.kind not in "iu" or (shapes < 0).any() or values.shape != (sizes.sum(),):
            raise Problem("array %r does not fit its shapes" % self.name)
        self._values = values
        self._shapes = [tuple(shape) for shape in shapes.tolist()]
        self._next = 0

    @property
    def samples(self) -> int:
        return len(self._shapes)

    def read(self, count: int) -> np.ndarray[Any, Any]:
        """As `Member.read`. Raises Problem where those samples differ in shape."""
        shapes = self._shapes[self._next : self._next + count]
        self._next += len(shapes)
        if len(set(shapes)) > 1:
            raise Problem("samples of %r differ in shape: they go one by one" % self.name)
        whole = (len(shapes),) + (shapes[0] if shapes else ())
        size = int(np.prod(whole, dtype=np.int64))
        return self._values.read(size).reshape(whole)


class Archive:
    """An open npz. A context.

    Args:
        source: a path or a seekable stream.
        limit: most bytes that its members may hold unpacked; None: as many as they say.

    Raises:
        Problem: missing, no archive, or too large.
    """

    def __init__(self, source: Union[str, IO[bytes]], limit: Optional[int] = None) -> None:
        self._where = source if isinstance(source, str) else "the body"
        try:
            self._zip = zipfile.ZipFile(source)
        except OSError as error:
            raise Problem("%s can't be read: %s" % (self._where, error.strerror)) from None
        except DAMAGED:
            raise Problem("%s is not a npz archive" % self._where) from None
        entries = {info.filename: info for info in self._zip.infolist()}
        if limit is not None and sum(info.file_size for info in entries.values()) > limit:
            raise Problem("%s holds more than %d bytes" % (self._where, limit))
        self._entries = {_stem(name): info for name, info in entries.items()}

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_error: Any) -> None:
        self._zip.close()

    @property
    def names(self) -> Tuple[str, ...]:
        return tuple(self._entries)

    def member(self, name: str) -> Member:
        """Raises Problem where there is none of that name, or it can't be read."""
        if name not in self._entries:
            raise Problem("%s has no array %r" % (self._where, name))
        info = self._entries[name]
        try:
            return Member(name, info, self._zip.open(info))
        except DAMAGED as error:
            raise Problem("array %r is damaged: %s" % (name, error)) from None

    def samples(self, name: str) -> Union[Member, Ragged]:
        """An array to be read along its samples; they may differ in shape where the archive
        says so (`SHAPES` before the name)."""
        member = self.member(name)
        return Ragged(member, self.read(SHAPES + name)) if SHAPES + name in self.names else member

    def read(self, name: str) -> np.ndarray[Any, Any]:
        """A whole array."""
        member = self.member(name)
        return member.read(member.samples) if member.shape else member._values(())

    def read_all(self) -> Dict[str, np.ndarray[Any, Any]]:
        return {name: self.read(name) for name in self.names}


def _stem(name: str) -> str:
    return name[:-4] if name.endswith(".npy") else name


def batches(
    members: Mapping[str, Union[Member, Ragged]], size: int
) -> Iterator[Dict[str, np.ndarray[Any, Any]]]:
    """Up to `size` samples of every member at a time.

    Raises:
        Problem: the members differ in their number of samples, or have none.
    """
    counts = {member.samples for member in members.values()}
    if len(counts) != 1 or counts == {0}:
        raise Problem("the arrays hold %s samples" % sorted(counts))
    for _begin in range(0, counts.pop(), size):
        yield {name: member.read(size) for name, member in members.items()}


def write(target: Union[str, IO[bytes]], arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write an uncompressed npz. Any string may name an array, unlike with numpy.savez."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
