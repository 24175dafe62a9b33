"""CUDA's driver through pycuda. Never run here on a device: pycuda needs one to be built."""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, Optional, Tuple, TypeVar, cast

import numpy as np

from yardarm_runtime.problems import Problem

Method = TypeVar("Method", bound=Callable[..., Any])


def load() -> Optional[PyCuda]:
    """None where pycuda is not there. Raises Problem where it finds no device."""
    try:
        from pycuda import driver
    except ImportError:
        return None
    return PyCuda(driver)


def _told(method: Method) -> Method:
    """pycuda's errors as Problem, and the device's primary context current meanwhile: a thread
    that ends with a context of pycuda's ends the process."""

    @functools.wraps(method)
    def call(self: PyCuda, *arguments: Any) -> Any:
        try:
            context = self._primary()
            context.push()
            try:
                return method(self, *arguments)
            finally:
                context.pop()
        except self._driver.Error as error:
            raise Problem("CUDA: %s failed: %s" % (method.__name__, error)) from None

    return cast(Method, call)


class PyCuda:
    """`Cuda` by pycuda. Its objects are held here, under the integers that stand for them.

    Raises:
        Problem: there is no device.
    """

    route = "pycuda"

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._held = {}  # type: Dict[int, Any]
        try:
            driver.init()
            self._device = driver.Device(0)
        except driver.Error as error:
            raise Problem("CUDA finds no device: %s" % error) from None
        self._context = None  # type: Any

    def _primary(self) -> Any:
        """The context that CUDA's runtime library uses too, so that TensorRT shares it."""
        if self._context is None:
            self._context = self._device.retain_primary_context()
        return self._context

    def _hold(self, handle: int, thing: Any) -> int:
        self._held[handle] = thing
        return handle

    def name(self) -> str:
        return str(self._device.name())

    def capability(self) -> Tuple[int, int]:
        major, minor = self._device.compute_capability()
        return int(major), int(minor)

    def integrated(self) -> bool:
        return bool(self._device.get_attribute(self._driver.device_attribute.INTEGRATED))

    def versions(self) -> Dict[str, str]:
        number = self._driver.get_driver_version()
        return {
            "cuda": ".".join(str(part) for part in self._driver.get_version()[:2]),
            "cuda_driver": "%d.%d" % (number // 1000, number % 1000 // 10),
        }

    @_told
    def memory(self) -> Tuple[int, int]:
        free, total = self._driver.mem_get_info()
        return int(free), int(total)

    @_told
    def allocate(self, size: int) -> int:
        allocation = self._driver.mem_alloc(size)
        return self._hold(int(allocation), allocation)

    @_told
    def free(self, pointer: int) -> None:
        self._held.pop(pointer).free()

    @_told
    def pinned(self, shape: Tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        array = self._driver.pagelocked_empty(shape, dtype)  # type: np.ndarray[Any, Any]
        self._hold(array.ctypes.data, array.base)
        return array

    @_told
    def free_pinned(self, array: np.ndarray[Any, Any]) -> None:
        self._held.pop(array.ctypes.data).free()

    @_told
    def stream(self) -> int:
        made = self._driver.Stream()
        return self._hold(int(made.handle), made)

    @_told
    def free_stream(self, stream: int) -> None:
        del self._held[stream]

    @_told
    def copy_in(self, pointer: int, array: np.ndarray[Any, Any], stream: int) -> None:
        self._driver.memcpy_htod_async(pointer, array, self._held[stream])

    @_told
    def copy_out(self, array: np.ndarray[Any, Any], pointer: int, stream: int) -> None:
        self._driver.memcpy_dtoh_async(array, pointer, self._held[stream])

    @_told
    def synchronize(self, stream: int) -> None:
        self._held[stream].synchronize()

    @_told
    def event(self) -> int:
        made = self._driver.Event()
        return self._hold(id(made), made)

    @_told
    def free_event(self, event: int) -> None:
        del self._held[event]

    @_told
    def record(self, event: int, stream: int) -> None:
        self._held[event].record(self._held[stream])

    @_told
    def elapsed_ms(self, begin: int, end: int) -> float:
        return float(self._held[end].time_since(self._held[begin]))
