"""Where the written model departs from the one it came from, tensor by tensor.

Both run side by side over the same samples. What is compared is what the next node gets to
see: where a tensor is quantized, the values that come back from int8.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from yardarm.artifacts import Layout
from yardarm.compile.calibration.activations import floats
from yardarm.compile.session import Arrays, Engine
from yardarm.datasets import Dataset
from yardarm.events import Step

SAMPLES = 256
"""Samples that are compared, spread over the set. Of text-angle's thousand, so many give nine
figures in ten to 0.3 dB, and all to 0.9."""

WORKING_SET = 32_000_000
"""Bytes of one model's tensors that are looked at together."""


@dataclass(frozen=True)
class Departure:
    """How far one node's output lies from the original's.

    Attributes:
        place: the node's number in the original's order, from 0.
        node, op, tensor: by their names in the original.
        snr_db: 10 log10 of signal power by error power; None: no difference at all, or
            (`finite` False) NaN or infinity on either side.
        inputs_db: the lowest `snr_db` among the node's inputs; None: they are exact. What
            the node itself adds shows as the step from there to `snr_db`.
        cosine: of the angle between both, all samples as one vector; None where one is zero.
    """

    place: int
    node: str
    op: str
    tensor: str
    snr_db: float | None
    inputs_db: float | None
    cosine: float | None
    finite: bool = True


@dataclass(frozen=True)
class Difference:
    """All nodes that could be compared, worst first.

    Attributes:
        missing: original names of nodes whose output the written model doesn't have.
    """

    samples: int
    nodes: tuple[Departure, ...]
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class _Sums:
    """float64 sums of one tensor over all batches: memory doesn't grow with the set."""

    signal: float = 0.0
    found: float = 0.0
    error: float = 0.0
    product: float = 0.0

    def add(self, expected: NDArray[np.generic], found: NDArray[np.generic]) -> None:
        want = np.asarray(expected, np.float64).ravel()
        have = np.asarray(found, np.float64).ravel()
        if want.shape != have.shape:
            self.error = math.nan
            return
        self.signal += float(want @ want)
        self.found += float(have @ have)
        self.product += float(want @ have)
        have -= want
        self.error += float(have @ have)

    @property
    def finite(self) -> bool:
        return math.isfinite(self.signal + self.found + self.error)

    @property
    def snr_db(self) -> float | None:
        if not self.finite or not self.error:
            return None
        return 10 * math.log10(max(self.signal, 1e-300) / self.error)

    @property
    def cosine(self) -> float | None:
        length = math.sqrt(self.signal) * math.sqrt(self.found)
        return min(1.0, self.product / length) if self.finite and length else None


def difference(
    original: ModelProto,
    written: ModelProto,
    dataset: Dataset,
    step: Step,
    *,
    names: Mapping[str, Any] | None = None,
    layout: Layout | None = None,
    samples: int = SAMPLES,
    working_set: int = WORKING_SET,
) -> Difference:
    """Stream at most about `samples` of the set through both models.

    Args:
        original: the fp32 model after normalisation; its float32 tensors are compared.
        names: `names` of the manifest: the written model's short names to the original's;
            without it names are as they are.
        layout: where the models have their sample axes; default: as the data set says.

    Raises:
        Unsupported, VerificationFailed: as `Engine`.
    """
    short = (names or {}).get("tensors", {})
    seen = {short.get(name, name): place for name, place in _seen(written).items()}
    made = {name for node in original.graph.node for name in node.output}
    comparable = [name for name in floats(original) if name in made]
    pairs = {name: seen[name] for name in comparable if name in seen}
    reader = _Reader(original, written, dataset, layout or dataset.layout)
    sums, count = reader.sums(pairs, step, samples=samples, working_set=working_set)
    compared = list(_departures(original, sums, names or {}))
    lost = set(comparable) - pairs.keys()
    called = (names or {}).get("nodes", {})
    missing = [called.get(n.name, n.name) for n in original.graph.node if lost & set(n.output)]
    return Difference(count, tuple(sorted(compared, key=_worst)), tuple(missing))


def _seen(written: ModelProto) -> dict[str, str]:
    """For each tensor that nodes make, the one whose values its consumers get: behind a
    QuantizeLinear and its DequantizeLinear, or the tensor itself."""
    nodes = written.graph.node
    quantized = {n.output[0]: n.input[0] for n in nodes if n.op_type == "QuantizeLinear"}
    back = {
        quantized[n.input[0]]: n.output[0]
        for n in nodes
        if n.op_type == "DequantizeLinear" and n.input[0] in quantized
    }
    return {name: back.get(name, name) for node in nodes for name in node.output if name}


class _Reader:
    """Both models with some of their tensors among the outputs."""

    def __init__(
        self, original: ModelProto, written: ModelProto, dataset: Dataset, layout: Layout
    ) -> None:
        self._models = original, written
        self._dataset = dataset
        self._layout = layout

    def sums(
        self, pairs: Mapping[str, str], step: Step, *, samples: int, working_set: int
    ) -> tuple[dict[str, _Sums], int]:
        """By tensor of the original; and over how many samples."""
        sizes = self._sizes(list(pairs))
        size = max(1, min(self._layout.size, working_set // max(1, sum(sizes.values()))))
        scaled = {name: held * size for name, held in sizes.items()}
        groups = list(grouped(scaled, working_set))
        sums = {name: _Sums() for name in sizes}
        count = 0
        for number, group in enumerate(groups):
            count = 0
            for expected, found, length in self._answers(group, pairs, size, samples):
                for name in group:
                    sums[name].add(expected[name], found[pairs[name]])
                count += length
                step.advance(number * samples + count, len(groups) * samples, "samples")
        return sums, count

    def _sizes(self, names: list[str]) -> dict[str, int]:
        """Bytes of each tensor for one sample."""
        engine = self._engine(self._models[0], names)
        _, answers = next(engine.over(self._dataset, 1))
        return {name: answers[name].nbytes for name in names}

    def _answers(
        self, group: Sequence[str], pairs: Mapping[str, str], size: int, samples: int
    ) -> Iterator[tuple[Arrays, Arrays, int]]:
        left = self._engine(self._models[0], group)
        right = self._engine(self._models[1], [pairs[name] for name in group])
        apart = -(-self._dataset.samples // max(samples, size))
        for feed in islice(self._dataset.batches(size, left.inputs), 0, None, apart):
            yield left.run(feed), right.run(feed), left.samples(feed)

    def _engine(self, model: ModelProto, names: Sequence[str]) -> Engine:
        return Engine(_exposing(model, names), layout=self._layout)


def _exposing(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """The model with the tensors `names` among its outputs; onnxruntime finds their types."""
    exposed = ModelProto()
    exposed.CopyFrom(model)
    there = {value.name for value in model.graph.output}
    wanted = [name for name in dict.fromkeys(names) if name not in there]
    exposed.graph.output.extend(ValueInfoProto(name=name) for name in wanted)
    return exposed


def grouped(sizes: Mapping[str, int], limit: int) -> Iterator[list[str]]:
    """Names in their order, cut so that each group's sizes add up to `limit` at most; what is
    larger by itself stands alone."""
    group: list[str] = []
    held = 0
    for name, size in sizes.items():
        if group and held + size > limit:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group


def _departures(
    original: ModelProto, sums: Mapping[str, _Sums], names: Mapping[str, Any]
) -> Iterator[Departure]:
    called = {"nodes": names.get("nodes", {}), "tensors": names.get("tensors", {})}
    reached: dict[str, float | None] = {}
    for place, node in enumerate(original.graph.node):
        worst = min(
            (snr for name in node.input if (snr := reached.get(name)) is not None), default=None
        )
        for tensor in node.output:
            held = sums.get(tensor)
            # What has no output of its own in the result passes on what it got.
            reached[tensor] = held.snr_db if held else worst
            if held:
                yield Departure(
                    place=place,
                    node=called["nodes"].get(node.name, node.name),
                    op=node.op_type,
                    tensor=called["tensors"].get(tensor, tensor),
                    snr_db=held.snr_db,
                    inputs_db=worst,
                    cosine=held.cosine,
                    finite=held.finite,
                )


def _worst(found: Departure) -> tuple[bool, float, str, str]:
    exact = found.snr_db is None
    return found.finite, math.inf if exact else found.snr_db or 0.0, found.node, found.tensor
