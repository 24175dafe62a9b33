"""Labelled samples, read batch by batch: a set may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from yardarm.artifacts import Layout
from yardarm.digest import Digest
from yardarm.errors import InvalidInput

Array = NDArray[np.generic]


@dataclass(frozen=True)
class Tensor:
    """What a model's input or output is: `shape` without limits where an axis is None."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Member:
    """An array of a set: its type, and its shape with the sample axis first; None is an axis
    on which samples differ."""

    dtype: np.dtype[np.generic]
    shape: tuple[int | None, ...]


class Source(Protocol):
    """Where a set's arrays come from, looked into but not kept."""

    @property
    def members(self) -> Mapping[str, Member]: ...

    def batches(
        self, size: int, moving: Sequence[str], whole: Sequence[str]
    ) -> Iterator[dict[str, Array]]:
        """The arrays `moving`, `size` samples at a time, and with each all of `whole`."""
        ...

    def digest(self) -> Digest:
        """Of everything that is in it."""
        ...


@dataclass(frozen=True)
class Dataset:
    """A set that was looked into, not read.

    Attributes:
        file: the archive, the folder, or where a function's name stands.
    """

    file: Path
    source: Source
    layout: Layout = field(default_factory=Layout)

    @property
    def members(self) -> Mapping[str, Member]:
        return self.source.members

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.members)

    @property
    def samples(self) -> int:
        """The common length of the first axis of what isn't constant."""
        constant = self.layout.constant
        lengths = (m.shape[0] for name, m in self.members.items() if name not in constant)
        return next(lengths) or 0

    def digest(self) -> Digest:
        """Of the content: sets of the same digest have the same samples in the same order."""
        return self.source.digest()

    def batches(self, size: int, names: Sequence[str] | None = None) -> Iterator[dict[str, Array]]:
        """The arrays `names` (default: all), `size` samples at a time; the last may be shorter.

        Constant arrays come whole with every batch. Where samples of one batch differ in
        shape, it is an array of arrays.

        Raises:
            InvalidInput: the set is damaged or changes from pass to pass, or a float is NaN
                or infinite (array and sample are named).
        """
        chosen = tuple(names) if names is not None else self.names
        whole = [name for name in chosen if name in self.layout.constant]
        moving = [name for name in chosen if name not in whole]
        start = 0
        for batch in self.source.batches(size, moving, whole):
            for name in moving:
                self._check_finite(name, batch[name], start)
            if start == 0:
                for name in whole:
                    self._check_finite(name, batch[name][None], None)
            yield batch
            start += size

    def read(self, name: str) -> Array:
        """One whole array: for labels, which are small.

        Raises:
            InvalidInput: as `batches`.
        """
        (batch,) = self.batches(self.samples, [name])
        return batch[name]

    def _check_finite(self, name: str, values: Array, start: int | None) -> None:
        if values.dtype.kind not in "fcO":
            return
        for number, sample in enumerate(values) if not _finite(values) else ():
            if not _finite(sample):
                place = "it" if start is None else f"sample {start + number}"
                raise InvalidInput(
                    f"{place} has NaN or infinite values",
                    where=f"{self.file}: {name}",
                    hint="repair the data or leave that sample out",
                )


def _finite(values: Array) -> bool:
    if values.dtype == object:
        return all(_finite(np.asarray(sample)) for sample in values)
    return values.dtype.kind not in "fc" or bool(np.isfinite(values).all())


def stacked(samples: Sequence[Array]) -> Array:
    """Samples along a new first axis; where they differ in shape, an array of arrays."""
    if len({sample.shape for sample in samples}) <= 1:
        return np.stack(samples)
    ragged = np.empty(len(samples), object)
    for number, sample in enumerate(samples):
        ragged[number] = sample
    return ragged
