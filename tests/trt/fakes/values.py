"""Plain values of the fake, and what its objects do alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from trt.fakes.graph import NUMPY


class Held:
    """A behaviour whose properties are kept in `_values`; of one module, `_trt`."""

    _trt: Any

    @property
    def _values(self) -> dict[str, Any]:
        held: dict[str, Any] = self.__dict__.setdefault("_kept", {})
        return held

    def _begin(self) -> None:
        """What follows `__init__`'s arguments."""


def new(maker: Any, name: str, *given: Any) -> Any:
    """An object that only the library makes."""
    kind = getattr(maker._trt, name)
    made = object.__new__(kind)
    made.__dict__["_constructed"] = True
    made._begin(*given)
    return made


def major(trt: Any) -> int:
    """The generation whose rules hold: tensorrt_rtx counts from 1 and has those of 11."""
    number = int(trt.__version__.split(".")[0])
    return number if number >= 8 else 11


def log(logger: Any, severity: str, text: str) -> None:
    """Through `log`, which users override; pybind11 hands severity and message by place."""
    logger.log(getattr(logger._trt.ILogger.Severity, severity), text)


class Dims(Held):
    def _begin(self, shape: Any = ()) -> None:
        self._axes = tuple(int(axis) for axis in shape)

    def __len__(self) -> int:
        return len(self._axes)

    def __getitem__(self, arg0: Any) -> Any:
        return self._axes[arg0]

    def __eq__(self, arg0: Any) -> bool:
        return self._axes == tuple(arg0)

    def __repr__(self) -> str:
        return repr(self._axes)

    __hash__ = None  # type: ignore[assignment]


class _Buffer(bytes):
    """Bytes for the buffer protocol alone: no length, no items, no methods."""

    def _refused(self, *_: Any) -> Any:
        raise TypeError("an IHostMemory is read by memoryview() or bytes()")

    __len__ = __getitem__ = __iter__ = __contains__ = __add__ = _refused

    def __bool__(self) -> bool:
        return True

    __repr__ = object.__repr__


class IHostMemory(Held):
    _base = _Buffer
    nbytes = property(lambda self: memoryview(self).nbytes)
    dtype = property(lambda self: self._trt.DataType.INT8)


def memory(trt: Any, data: bytes) -> Any:
    """An IHostMemory of these bytes."""
    return bytes.__new__(trt.IHostMemory, data)


class DataType:
    @property
    def itemsize(self) -> int:
        return int(np.dtype(NUMPY[self.name]).itemsize)  # type: ignore[attr-defined]


class module:  # noqa: N801
    """Functions of the module."""

    @staticmethod
    def volume(trt: Any, iterable: Any) -> int:
        return int(np.prod(list(iterable), initial=1))

    @staticmethod
    def nptype(trt: Any, trt_type: Any) -> Any:
        if trt_type.name not in NUMPY:
            raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")
        return NUMPY[trt_type.name]

    @staticmethod
    def init_libnvinfer_plugins(trt: Any, logger: Any, namespace: str) -> bool:
        return True
