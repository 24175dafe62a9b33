"""How the calibration set is run through a model: how many samples at a time, and which
tensors are looked at in which pass, so that a limit on memory is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yardarm.compile.calibration.exposing import Extent
from yardarm.errors import InvalidInput

WORKING_SET = 32_000_000  # bytes of activations in a batch: more win no time


@dataclass(frozen=True)
class Passes:
    """
    Attributes:
        groups: the tensors of each pass.
        size: samples in a run.
    """

    groups: tuple[tuple[str, ...], ...]
    size: int
    extents: Mapping[str, Extent]

    def rows(self, name: str, values: NDArray[np.generic], samples: int) -> NDArray[np.generic]:
        """A tensor as it came out of a run of some samples, by sample: [samples, …].

        What no sample has of its own, each has.
        """
        if self.size == 1:
            return values[None]
        axis = self.extents[name].axis
        if axis is None or values.shape[axis] < samples:
            return np.broadcast_to(values, (samples, *values.shape))
        return np.moveaxis(values, axis, 0)[:samples]


def plan(extents: Mapping[str, Extent], *, batch: int, length: int | None, limit: int) -> Passes:
    """
    Args:
        batch: samples at a time, at most.
        length: samples in a run, where the model says how many.
        limit: bytes of activations to hold at a time.

    Raises:
        InvalidInput: a tensor alone exceeds the limit; it is named.
    """
    sizes = {name: extent.size for name, extent in extents.items()}
    _check(sizes, limit)
    groups = tuple(tuple(group) for group in _packed(sizes, limit)) or ((),)
    return Passes(
        groups, length or _size(extents.values(), batch, min(limit, WORKING_SET)), extents
    )


def _size(extents: Iterable[Extent], batch: int, room: int) -> int:
    found = list(extents)
    if any(extent.folded for extent in found):
        return 1
    return min(batch, max(1, room // max(1, sum(extent.size for extent in found))))


def _packed(sizes: Mapping[str, int], limit: int) -> Sequence[list[str]]:
    """Neighbours together: what a pass needs of the graph is then short."""
    groups: list[list[str]] = []
    room = 0
    for name, size in sizes.items():
        if size > room or not groups:
            groups.append([])
            room = limit
        groups[-1].append(name)
        room -= size
    return groups


def _check(sizes: Mapping[str, int], limit: int) -> None:
    largest = max(sizes, key=lambda name: sizes[name], default="")
    if largest and sizes[largest] > limit:
        raise InvalidInput(
            f"takes {sizes[largest] / 1e6:.1f} MB in one run, and the limit on memory is"
            f" {limit / 1e6:.1f} MB",
            where=f"tensor {largest}",
            hint=f"set the limit to {-(-sizes[largest] // 1_000_000)} MB or more",
        )
