"""What differs between the generations of TensorRT's Python API, behind one protocol."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Protocol, Tuple

import numpy as np

from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt.options import Options

DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}

Progress = Callable[[str, int, int], None]
Shape = Tuple[int, ...]


class Tensor(NamedTuple):
    """An input or output of an engine; None is an axis of any length, `least` and `most` are
    the bounds of its profile."""

    name: str
    is_input: bool
    dtype: Any
    shape: Tuple[Optional[int], ...]
    least: Shape = ()
    most: Shape = ()


class Generation(Protocol):
    """One generation's way of what all of them do."""

    strongly_typed: bool
    """Whether it builds such networks; else those whose types the builder chooses."""

    tells_phases: bool
    """Whether a build tells its phases; else only its log shows that it goes on."""

    keeps_timings: bool
    """Whether a timing cache is of use to it."""

    def network(self, builder: Any) -> Any:
        """An empty network."""

    def configure(self, config: Any, network: Any, options: Options) -> List[str]:
        """Set what the options ask for; what of it found nothing to be set on."""

    def watch(self, config: Any, progress: Progress) -> Any:
        """Have the build's progress told, where that is possible; to be held meanwhile."""

    def parse_error(self, problem_: Any, model: bytes) -> str:
        """One line: the node, its operator and what is wrong."""

    def target(self, config: Any, sm: Optional[int]) -> None:
        """Build for that compute capability. Raises Problem where only the present one can be
        built for."""

    def tensors(self, engine: Any) -> List[Tensor]:
        """All inputs and outputs."""

    def shaped(self, context: Any, shapes: Mapping[str, Shape]) -> Dict[str, Shape]:
        """Set the inputs' shapes; those of the outputs. Raises Problem where they don't fit."""

    def enqueuing(
        self, context: Any, addresses: Mapping[str, int], stream: int
    ) -> Callable[[], bool]:
        """What queues one inference on those addresses; False where TensorRT refuses."""


def version_of(trt: Any) -> Tuple[int, ...]:
    """Such as (10, 3, 0). Raises Problem where it is none."""
    found = re.match(r"\d+(\.\d+)+", str(trt.__version__))
    if not found:
        raise Problem("TensorRT's version is %r" % (trt.__version__,))
    return tuple(int(part) for part in found.group().split("."))


def title(trt: Any) -> str:
    """Name and version, for people."""
    name = "TensorRT-RTX" if "tensorrt_rtx" in trt.__name__ else "TensorRT"
    return "%s %s" % (name, trt.__version__)


def generation_of(trt: Any) -> Generation:
    """Raises Problem for a version that is not supported."""
    from yardarm_runtime.tensorrt.eight import Eight
    from yardarm_runtime.tensorrt.eleven import Eleven, Rtx
    from yardarm_runtime.tensorrt.ten import Ten

    version = version_of(trt)
    if "tensorrt_rtx" in trt.__name__:
        return Rtx(trt)
    if (8, 4) <= version < (9,):
        return Eight(trt, version)
    if (10,) <= version < (11,):
        return Ten(trt)
    if version >= (11,):
        return Eleven(trt)
    raise Problem("TensorRT %s is not supported: 8.4 to 8.6 and from 10.0 on are" % trt.__version__)


def dtype_of(name: str, dtype: Any) -> Any:
    """As numpy's. Raises Problem where numpy has none."""
    if dtype.name not in DTYPES:
        raise Problem("%r is %s, which can't cross to numpy" % (name, dtype.name))
    return np.dtype(DTYPES[dtype.name])


def shape_of(dims: Any) -> Tuple[Optional[int], ...]:
    """TensorRT writes -1 for an axis of any length."""
    return tuple(int(axis) if axis >= 0 else None for axis in dims)


def known(name: str, dims: Any) -> Shape:
    """An output's shape. Raises Problem where it is only known after the inference."""
    shape = tuple(int(axis) for axis in dims)
    if any(axis < 0 for axis in shape):
        raise Problem("the shape of output %r depends on the data: it can't be run here" % name)
    return shape
