"""The numbers that TensorRT's low-precision kernels compute with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from yardarm.compile.calibration.ranges import Range
from yardarm.compile.quantization import halves
from yardarm.compile.quantization.forms import Form


@dataclass(frozen=True)
class Grid:
    """The values of a type, which stand for themselves times a scale.

    Attributes:
        name: part of the names of tensors that are in it.
        kind: numpy's type.
        most: the largest of them.
        channels: weights have a scale for each output.
    """

    name: str
    kind: np.dtype[np.generic]
    most: float
    channels: bool

    def scale(self, chosen: Range) -> NDArray[np.float32]:
        """float32 [] that float16 holds exactly: the range's larger end is the largest value."""
        return self._scale(np.asarray(max(-chosen[0], chosen[1], 0.0)))

    def scales(self, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [outputs] (axis 0), or [] where weights have one scale."""
        others = tuple(range(1, weight.ndim)) if self.channels else None
        return self._scale(np.abs(weight).max(axis=others))

    def rounded(
        self, weight: NDArray[np.float32], scale: NDArray[np.float32]
    ) -> NDArray[np.generic]:
        """The nearest values, halves to even."""
        steps = weight / (scale.reshape(-1, *[1] * (weight.ndim - 1)) if scale.ndim else scale)
        whole = np.round(steps) if self.kind == np.int8 else steps
        return np.asarray(np.clip(whole, -self.most, self.most).astype(self.kind))

    def _scale(self, largest: NDArray[np.floating]) -> NDArray[np.float32]:
        scale = np.where(largest > 0, largest / self.most, 1)
        return halves.rounded_up(np.maximum(scale, halves.SMALLEST).astype(np.float32))


INT8 = Grid("int8", np.dtype(np.int8), 127, channels=True)
# E4M3; one scale a tensor is what TensorRT takes (developer guide, "Types and precision").
FP8 = Grid("fp8", helper.tensor_dtype_to_np_dtype(TensorProto.FLOAT8E4M3FN), 448, channels=False)
GRIDS: Mapping[Form, Grid] = {Form.STATIC: INT8, Form.FP8: FP8}
