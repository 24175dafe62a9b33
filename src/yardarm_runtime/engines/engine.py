"""What every verb knows of an engine, whatever runs the model."""

from __future__ import annotations

import os
from typing import Any, Callable, ClassVar, Dict, Mapping, NamedTuple, Optional, Tuple, Type

import numpy as np

from yardarm_runtime import layout
from yardarm_runtime.engines.ports import Port, check
from yardarm_runtime.problems import Problem
from yardarm_wire import engines


class Bound(NamedTuple):
    """One inference with nothing left to prepare; its outputs stay in the engine.

    `device_ns` is how long the device itself worked in the last call, in ns; None where
    nothing measures that.
    """

    call: Callable[[], Any]
    device_ns: Optional[Callable[[], int]] = None


class Engine:
    """A loaded model, and how the bundle's manifest says that it is fed (`layout`).

    Args:
        bundle: the folder that holds `model.onnx`, and `manifest.json` unless the layout is
            the usual one.

    Attributes:
        refusals: what a call of `bound` may raise where the model can't run.

    Raises:
        Problem: there is no such model.
    """

    refusals: ClassVar[Tuple[Type[BaseException], ...]] = (Problem,)
    inputs: Tuple[Port, ...] = ()
    outputs: Tuple[Port, ...] = ()

    def __init__(self, bundle: str) -> None:
        self.path = os.path.join(bundle, "model.onnx")
        self.layout = layout.read(bundle)
        if not os.path.isfile(self.path):
            raise Problem("there is no model: %s" % self.path)

    @property
    def batch(self) -> Optional[int]:
        """The fixed length of the sample axis; None where the model leaves it open. Without
        a batch axis samples go one by one."""
        if not self.layout.batch:
            return 1
        lengths = {port.shape[axis] for port, axis in self._moving()}
        return lengths.pop() if len(lengths) == 1 else None

    @property
    def bounds(self) -> Tuple[int, Optional[int]]:
        """The fewest and the most samples that one inference takes; None: any number."""
        least = [port.least[axis] for port, axis in self._moving() if port.least]
        most = [port.most[axis] for port, axis in self._moving() if port.most]
        return max(least, default=1), min(most, default=None)

    def _moving(self) -> Tuple[Tuple[Port, int], ...]:
        """The inputs that hold samples, with the axis along which they do."""
        axes = self.layout.input_axis
        return tuple(
            (port, axes.get(port.name, 0))
            for port in self.inputs
            if port.name not in self.layout.constant
            and -len(port.shape) <= axes.get(port.name, 0) < len(port.shape)
        )

    def digest(self) -> str:
        """Of the model file, as it is read."""
        return engines.of_file(self.path)

    def check(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Raises Problem unless names, dtypes and shapes are the model's."""
        check(self.inputs, feeds)

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Dict[str, np.ndarray[Any, Any]]:
        """All outputs by name. Raises Problem where the model can't run on these inputs, and
        Broken where the device failed."""
        raise NotImplementedError

    def bound(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Bound:
        """One inference of `feeds`, prepared. Raises Problem as `run` does."""
        raise NotImplementedError

    def operators(
        self, feeds: Mapping[str, np.ndarray[Any, Any]], runs: int, warmup: int, output: str
    ) -> Optional[Dict[str, float]]:
        """Median microseconds of each operator by name over that many runs; what else tells
        of the graph that runs is written into the folder `output`. None where this engine
        doesn't tell."""
        return None

    def for_answers(self, threads: int) -> Engine:
        """The engine that answers much data, with so many threads where it runs on the CPU."""
        return self

    def versions(self) -> Dict[str, str]:
        """Of the libraries that run the model."""
        raise NotImplementedError

    def facts(self) -> Dict[str, Any]:
        """What a result says of the engine: at least its `route`."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what it holds."""
