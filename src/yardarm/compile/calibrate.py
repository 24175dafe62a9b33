"""What values each tensor takes, from one pass over the calibration set.

Tensors are seen batch by batch and only their histograms are kept, so memory depends
neither on the number of samples nor, beyond one small batch, on the model's activations.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto

from yardarm.compile.histogram import Histogram
from yardarm.compile.session import Engine
from yardarm.datasets import Dataset
from yardarm.events import Step

KEPT = 4_096  # values of one tensor and sample that are counted: more change no range
WORKING_SET = 32_000_000  # bytes of activations held at a time


@dataclass
class Observed:
    """A tensor over the whole set: its exact extremes and mean, and counted values."""

    low: float = np.inf
    high: float = -np.inf
    total: float = 0.0
    count: int = 0
    histogram: Histogram = field(default_factory=Histogram)

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def mean(self) -> float:
        return self.total / self.count

    def add(self, values: NDArray[np.generic], samples: int) -> None:
        """Take in a batch of `samples` samples; not empty, numbers of any type."""
        low, high = float(np.min(values)), float(np.max(values))
        self.low, self.high = float(np.minimum(self.low, low)), float(np.maximum(self.high, high))
        if not self.finite:
            return
        self.total += _total(values, samples)
        self.count += values.size
        self.histogram.add(_thinned(values, samples), max(abs(low), abs(high)))


def calibrate(model: ModelProto, dataset: Dataset, step: Step) -> dict[str, Observed]:
    """Run the set through the model and watch its inputs and every float32 tensor.

    Fewer samples at a time than the layout says where their activations would not fit.

    Returns:
        by tensor name; tensors that stayed empty are missing.
    """
    inner = floats(model)
    engine = Engine(_exposing(model, inner), layout=dataset.layout)
    names = [*engine.inputs, *(name for name in inner if name not in engine.inputs)]
    size = min(dataset.layout.size, _affordable(engine, dataset))
    observed: dict[str, Observed] = {}
    done = 0
    for feed, answers in engine.over(dataset, size):
        samples = engine.samples(feed)
        for name in names:
            values = answers[name] if name in answers else feed[name]
            if values.size:
                observed.setdefault(name, Observed()).add(values, samples)
        done += samples
        step.advance(done, dataset.samples, "samples")
    return observed


def floats(model: ModelProto) -> list[str]:
    """The graph's float32 tensors that depend on its inputs: what may become int8."""
    return list(dict.fromkeys(value.name for value in _values(model) if _is_float(value)))


def _values(model: ModelProto) -> list[ValueInfoProto]:
    graph = model.graph
    made = {name for node in graph.node for name in node.output}
    filled = {tensor.name for tensor in graph.initializer}
    fed = [value for value in graph.input if value.name not in filled]
    inner = [value for value in graph.value_info if value.name in made]
    return [*fed, *inner, *graph.output]


def _is_float(value: ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type == TensorProto.FLOAT)


def _exposing(model: ModelProto, names: list[str]) -> ModelProto:
    """The model with the tensors `names` among its outputs, inputs left out."""
    exposed = ModelProto()
    exposed.CopyFrom(model)
    wanted = set(names) - {value.name for value in (*model.graph.output, *model.graph.input)}
    exposed.graph.output.extend(v for v in model.graph.value_info if v.name in wanted)
    return exposed


def _affordable(engine: Engine, dataset: Dataset) -> int:
    """How many samples' activations fit the working set, judged by the first sample."""
    _, answers = next(engine.over(dataset, 1))
    return max(1, WORKING_SET // max(1, sum(values.nbytes for values in answers.values())))


def _total(values: NDArray[np.generic], samples: int) -> float:
    """The sum in float64; quicker in float32 within a sample where that does not overflow."""
    rows = _rows(values, samples)
    if rows.dtype == np.float32:
        with np.errstate(over="ignore", invalid="ignore"):
            quick = float(rows.sum(axis=1).sum(dtype=np.float64))
        if np.isfinite(quick):
            return quick
    return float(rows.sum(dtype=np.float64))


def _rows(values: NDArray[np.generic], samples: int) -> NDArray[np.generic]:
    """One row a sample; a single row where the first axis is not the samples'."""
    return values.reshape(samples if values.shape[:1] == (samples,) else 1, -1)


def _thinned(values: NDArray[np.generic], samples: int) -> NDArray[np.generic]:
    """Every so-manieth value of each sample, so that what is counted of a sample does not
    depend on its batch. An odd stride does not lock onto rows or channels of even length."""
    rows = _rows(values, samples)
    stride = -(-rows.shape[1] // KEPT) | 1
    return rows[:, ::stride]
