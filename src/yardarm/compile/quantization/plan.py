"""All that decides what is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from yardarm.compile.calibration.ranges import Range
from yardarm.compile.quantization.forms import Form
from yardarm.profiles import Quantization

Shifts = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class TensorRt:
    """What of TensorRT decides how a graph is written.

    Attributes:
        version: major and minor.
        fit: names of the nodes whose values float16 can hold.
        opset: of the graph that is written.
        low: forms below float16 that the device has, fastest first.
    """

    version: tuple[int, int]
    fit: frozenset[str]
    opset: int
    low: tuple[Form, ...] = (Form.STATIC,)

    @property
    def strong(self) -> bool:
        """Types in the graph are what TensorRT computes in. Before version 10 they are not: the
        graph is float32, and builder flags allow float16."""
        return self.version >= (10, 0)

    def below(self, node: str) -> tuple[Form, ...]:
        """The forms below float16 that a node may take. What float16 doesn't hold has to be told
        to stay float32 before version 10, and whether a layer can be told that and still be
        quantized is nowhere said: it is one or the other there."""
        return self.low if self.strong or node in self.fit else ()

    @property
    def half_scales(self) -> bool:
        """int8 values may be dequantized into float16 (ONNX since operator set 19)."""
        return not self.strong or self.opset >= 19


@dataclass(frozen=True)
class Plan:
    """All that decides what is written.

    Attributes:
        forms: by node name; a node that is missing stays in fp32. Static nodes must have
            ranges for the activations that they read and write.
        ranges: lowest and highest value to represent, by tensor.
        shifts: float32 [channels] to add to the bias of a Conv or Gemm, by node name.
        tensorrt: None where onnxruntime runs the model.
    """

    choice: Quantization
    forms: Mapping[str, Form]
    ranges: Mapping[str, Range]
    shifts: Shifts = field(default_factory=dict)
    tensorrt: TensorRt | None = None
