"""Samples that a function of the project's own yields: "package.module:function".

It takes nothing and returns an iterable of samples; a sample is a dict of arrays without a
sample axis. It is called for every pass, and has to yield the same samples each time.
"""

from __future__ import annotations

import hashlib
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from yardarm import callables
from yardarm.datasets.dataset import Array, Member, stacked
from yardarm.digest import Digest
from yardarm.errors import InvalidInput

LIMIT = 250_000
"""Samples from which on a function is taken to be endless."""

END = object()

Sample = dict[str, Array]


class Function:
    """A function, called once to see what it yields.

    Of that pass a checksum of each array of each sample is kept: by these a later pass that
    differs is found.

    Args:
        name: "package.module:function".
        root: the project's folder.
        constant: arrays that are the same in every sample, as the model's constant inputs.

    Raises:
        InvalidInput: it can't be loaded, raises, is endless, or its samples differ in their
            arrays, types or number of axes.
    """

    def __init__(self, name: str, root: Path, constant: frozenset[str]) -> None:
        self._name = name
        self._root = root
        self._constant = constant
        self._function = callables.load(name, root, f"data: {name}")
        self._marks: dict[str, array[int]] = {}
        self._samples = 0
        hashed = hashlib.sha256()
        shapes: dict[str, _Shape] = {}
        for sample in islice(self._pass(), LIMIT + 1):
            self._look(sample, shapes)
            for item in sorted(sample):
                hashed.update(f"{item} {sample[item].dtype.str} {sample[item].shape};".encode())
                hashed.update(_bytes(sample[item]))
            self._samples += 1
        if self._samples > LIMIT:
            raise self._error(
                f"it yields more than {LIMIT:,} samples",
                hint="if it is endless, end it: itertools.islice takes the first so many",
            )
        if not self._samples:
            raise self._error("it has no samples")
        self._digest = Digest("sha256:" + hashed.hexdigest())
        self.members: Mapping[str, Member] = {
            item: shape.member(None if item in constant else self._samples)
            for item, shape in shapes.items()
        }

    def digest(self) -> Digest:
        return self._digest

    def batches(
        self, size: int, moving: Sequence[str], whole: Sequence[str]
    ) -> Iterator[dict[str, Array]]:
        samples = self._checked([*moving, *whole])
        while part := list(islice(samples, size)):
            yield {name: part[0][name] for name in whole} | {
                name: stacked([sample[name] for sample in part]) for name in moving
            }

    def _checked(self, names: Sequence[str]) -> Iterator[Sample]:
        """A pass that is held against the first one."""
        number = -1
        for number, sample in enumerate(self._pass()):
            for name in names:
                marks = self._marks[name]
                place = 0 if name in self._constant else number
                if name not in sample or place >= len(marks) or _mark(sample[name]) != marks[place]:
                    raise self._changed(f"sample {number} is another one", name)
            yield {name: sample[name] for name in names}
        if number + 1 != self._samples:
            raise self._changed(f"it ended after {number + 1} samples instead of {self._samples}")

    def _changed(self, what: str, name: str = "") -> InvalidInput:
        return self._error(
            f"{what} than in the pass before" if name else what,
            name,
            hint="every call has to yield the same samples: give its random numbers a seed",
        )

    def _pass(self) -> Iterator[Sample]:
        samples = self._iterator()
        for number in count():
            try:
                with callables.importable(self._root):
                    item = next(samples, END)
            except (Exception, SystemExit) as error:  # noqa: BLE001  a project's code may raise anything
                text = f"it raised {callables.words(error)} after {number} samples"
                raise self._error(text) from None
            if item is END:
                return
            yield self._sample(item, number)

    def _iterator(self) -> Iterator[Any]:
        function: Callable[[], Iterable[Any]] = self._function
        try:
            with callables.importable(self._root):
                found = function()
        except (Exception, SystemExit) as error:  # noqa: BLE001  as above
            raise self._error(f"it raised {callables.words(error)}") from None
        if isinstance(found, Mapping) or not isinstance(found, Iterable):
            raise self._error(
                f"it returned {type(found).__name__}, not an iterable of samples",
                hint="yield one dict of arrays for each sample",
            )
        return iter(found)

    def _sample(self, item: Any, number: int) -> Sample:
        """Copies: a function may fill the same arrays anew for each sample."""
        if not isinstance(item, Mapping) or not all(isinstance(name, str) for name in item):
            raise self._error(
                f"sample {number} is {type(item).__name__}, not a dict of arrays by name"
            )
        try:
            sample = {name: np.array(value, order="C") for name, value in item.items()}
        except (ValueError, TypeError) as error:
            raise self._error(f"sample {number} is no dict of arrays: {error}") from None
        for name, values in sample.items():
            if values.dtype.hasobject or values.dtype.names:
                raise self._error(f"sample {number} holds Python objects, not numbers", name)
        return sample

    def _look(self, sample: Sample, shapes: dict[str, _Shape]) -> None:
        """Take one sample of the first pass into account."""
        if shapes and set(sample) != set(shapes):
            raise self._error(
                f"sample {self._samples} has the arrays {', '.join(sorted(sample))}, "
                f"those before it {', '.join(sorted(shapes))}"
            )
        for name, values in sample.items():
            marks = self._marks.setdefault(name, array("I"))
            known = shapes.setdefault(name, _Shape(values))
            if not known.takes(values):
                raise self._error(
                    f"sample {self._samples} is {values.dtype} with {values.ndim} axes, "
                    f"those before it {known.dtype} with {len(known.axes)}",
                    name,
                )
            if name not in self._constant or not marks:
                marks.append(_mark(values))
            elif marks[0] != _mark(values):
                raise self._error(
                    f"it is constant, but sample {self._samples} differs from those before", name
                )

    def _error(self, what: str, name: str = "", hint: str = "") -> InvalidInput:
        return InvalidInput(what, where=f"{self._name}: {name}" if name else self._name, hint=hint)


class _Shape:
    """What an array has been like so far; None on axes where samples differ."""

    def __init__(self, first: Array) -> None:
        self.dtype = first.dtype
        self.axes: list[int | None] = list(first.shape)

    def takes(self, values: Array) -> bool:
        if values.dtype != self.dtype and not values.dtype.kind == self.dtype.kind in "US":
            return False
        if values.ndim != len(self.axes):
            return False
        self.dtype = max(self.dtype, values.dtype, key=lambda dtype: dtype.itemsize)
        self.axes = [
            known if known == axis else None
            for known, axis in zip(self.axes, values.shape, strict=True)
        ]
        return True

    def member(self, samples: int | None) -> Member:
        return Member(self.dtype, (*(() if samples is None else (samples,)), *self.axes))


def _bytes(values: Array) -> bytes:
    return values.tobytes()


def _mark(values: Array) -> int:
    return zlib.crc32(_bytes(values), zlib.crc32(repr(values.shape).encode()))
