"""Tensors inside a model brought to light as outputs of it, and where their samples lie."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from yardarm.artifacts import Layout
from yardarm.compile import session
from yardarm.compile.session import Arrays, Engine, Feed
from yardarm.errors import VerificationFailed

ITEM = 4  # bytes of a float32
SHAPE = "/yardarm:shape"  # no exporter names tensors like that


class Probe(Engine):
    """A loaded model whose outputs are taken as they come, inner tensors among them.

    Args:
        shapes: the outputs are shapes, and asked for once or twice: optimising would not pay.
    """

    def __init__(self, model: ModelProto, layout: Layout, *, shapes: bool = False) -> None:
        options = session.settings()
        # Planned ahead, what is alive at once becomes a single block, here of nearly everything.
        options.enable_mem_pattern = False
        if shapes:
            # In the usual order they come last, and every tensor has to wait for them.
            options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        super().__init__(model, options, layout=layout)

    @property
    def length(self) -> int | None:
        """Samples in a run, where the model says how many; without a batch axis one."""
        return self._length

    def look(self, feed: Feed) -> Arrays:
        """One run of at most `length` samples, a short feed filled up with its last one.

        Raises:
            VerificationFailed: onnxruntime gives up.
        """
        return self._once(feed if self._length is None else self._piece(feed, 0))

    def _taken(self, values: NDArray[np.generic], name: str) -> NDArray[np.generic]:
        return values


@dataclass(frozen=True)
class Extent:
    """How large a tensor is, and whose values it holds.

    Attributes:
        size: bytes in the shortest run that the model takes.
        axis: where its samples lie; None: nowhere, it is the same for every sample.
        folded: samples share an axis with something else, or its shape follows from its
            values: only in a run of its own can a sample be told from the others.
    """

    size: int
    axis: int | None = 0
    folded: bool = False


def exposing(model: ModelProto, names: Iterable[str]) -> ModelProto:
    """The model with the tensors `names` among its outputs, inputs left out."""
    exposed = ModelProto()
    exposed.CopyFrom(model)
    wanted = set(names) - {value.name for value in (*model.graph.output, *model.graph.input)}
    exposed.graph.output.extend(v for v in model.graph.value_info if v.name in wanted)
    return exposed


def extents(
    model: ModelProto, names: Iterable[str], feed: Feed, layout: Layout
) -> tuple[dict[str, Extent], int | None]:
    """Found from shapes alone, so that it costs no memory: of one sample and of twice that one.

    Args:
        feed: one sample.

    Returns:
        by tensor name; and how many samples a run takes, where model or layout say it.
    """
    wanted = list(names)
    probe = Probe(_shaping(model, wanted), layout, shapes=True)
    length = probe.length or (1 if layout.size == 1 else None)
    if length is None:
        try:
            once, twice = (_shapes(probe, wanted, _times(feed, n, layout)) for n in (1, 2))
            return {name: _extent(once[name], twice[name]) for name in wanted}, None
        except VerificationFailed:  # only batches as long as the layout says may fit constants
            length = layout.size
    whole = _shapes(probe, wanted, _times(feed, length, layout))
    return {name: _fixed(whole[name], length) for name in wanted}, length


def _shaping(model: ModelProto, names: list[str]) -> ModelProto:
    shaping = ModelProto()
    shaping.CopyFrom(model)
    if names:
        del shaping.graph.output[:]
    for name in names:
        shaping.graph.node.append(helper.make_node("Shape", [name], [name + SHAPE]))
        shaping.graph.output.append(
            helper.make_tensor_value_info(name + SHAPE, TensorProto.INT64, [None])
        )
    return shaping


Shape = tuple[int, ...]


def _shapes(probe: Probe, names: list[str], feed: Feed) -> dict[str, Shape]:
    found = probe.look(feed)
    return {name: tuple(found[name + SHAPE].tolist()) for name in names}


def _times(feed: Feed, count: int, layout: Layout) -> Mapping[str, NDArray[np.generic]]:
    """One sample as if it were several."""
    return {
        name: values if name in layout.constant else np.repeat(values, count, axis=0)
        for name, values in feed.items()
    }


def _extent(once: Shape, twice: Shape) -> Extent:
    size = ITEM * math.prod(once)
    if once == twice:
        return Extent(size, None)
    if len(once) == len(twice):
        moved = [axis for axis, have in enumerate(once) if twice[axis] != have]
        axis = moved[0]
        if len(moved) == 1 and (once[axis], twice[axis]) == (1, 2):
            return Extent(size, axis)
    return Extent(size, None, folded=True)


def _fixed(shape: Shape, length: int) -> Extent:
    """Nothing can be varied here, so that an axis as long as the batch is taken for it: the
    first one, or the only one. Other tensors are then counted as a whole, with what the last
    batch was filled up with."""
    likely = [axis for axis, have in enumerate(shape) if have == length]
    known = likely[:1] == [0] or len(likely) == 1
    return Extent(ITEM * math.prod(shape), likely[0] if known else None)
