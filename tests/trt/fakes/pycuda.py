"""A fake pycuda.driver on the fake libcudart: the parts that running an engine needs."""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType
from typing import Any

import numpy as np

from trt.fakes.cudart import Library, loaded

TO_DEVICE, TO_HOST = 1, 2


class Error(Exception):
    """As pycuda.driver.Error."""


class LogicError(Error):
    pass


class MemoryError(Error):
    pass


def _call(function: str, *arguments: Any) -> None:
    functions = loaded().functions
    code = getattr(functions, function)(*arguments)
    if code:
        functions.cudaGetErrorString.restype = ctypes.c_char_p
        text = functions.cudaGetErrorString(code).decode()
        raise (MemoryError if code == 2 else LogicError)(f"{function} failed: {text}")


def _taken(function: str, *arguments: Any) -> int:
    handle = ctypes.c_void_p()
    _call(function, ctypes.byref(handle), *arguments)
    return handle.value or 0


def _integer(function: str, *arguments: Any) -> int:
    value = ctypes.c_int()
    _call(function, ctypes.byref(value), *arguments)
    return value.value


class Context:
    """A context is current in the threads that pushed it."""

    current: int = 0

    def push(self) -> None:
        Context.current += 1

    @staticmethod
    def pop() -> None:
        Context.current -= 1

    def detach(self) -> None:
        pass

    @staticmethod
    def synchronize() -> None:
        _in_context()
        _call("cudaDeviceSynchronize")


def _in_context() -> None:
    if Context.current < 1:
        raise LogicError("invalid device context - no currently active context?")


class device_attribute:  # noqa: N801
    MULTIPROCESSOR_COUNT = 16
    INTEGRATED = 18


class Device:
    def __init__(self, number: int) -> None:
        _call("cudaSetDevice", number)

    @staticmethod
    def count() -> int:
        return _integer("cudaGetDeviceCount")

    def name(self) -> str:
        return "Fake Orin"

    def compute_capability(self) -> tuple[int, int]:
        return (
            _integer("cudaDeviceGetAttribute", 75, 0),
            _integer("cudaDeviceGetAttribute", 76, 0),
        )

    def get_attribute(self, attribute: int) -> int:
        return _integer("cudaDeviceGetAttribute", attribute, 0)

    def total_memory(self) -> int:
        Context.current += 1
        try:
            return mem_get_info()[1]
        finally:
            Context.current -= 1

    def retain_primary_context(self) -> Context:
        return Context()

    make_context = retain_primary_context


class _Owned:
    """Freed by `free`, or when nobody refers to it."""

    _free = ""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def free(self) -> None:
        if not self._handle:
            raise LogicError("object has been freed already")
        handle, self._handle = self._handle, 0
        _call(self._free, ctypes.c_void_p(handle))

    def __del__(self) -> None:
        try:
            if getattr(self, "_handle", 0):
                self.free()
        except Error as error:
            sys.stderr.write(f"a clean-up operation failed: {error}\n")


class DeviceAllocation(_Owned):
    _free = "cudaFree"

    def __int__(self) -> int:
        return self._handle

    __index__ = __int__


class PagelockedHostAllocation(_Owned):
    _free = "cudaFreeHost"


class Stream(_Owned):
    _free = "cudaStreamDestroy"

    def __init__(self, flags: int = 0) -> None:
        _in_context()
        super().__init__(_taken("cudaStreamCreate"))

    @property
    def handle(self) -> int:
        return self._handle

    def synchronize(self) -> None:
        _in_context()
        _call("cudaStreamSynchronize", ctypes.c_void_p(self._handle))


class Event(_Owned):
    _free = "cudaEventDestroy"

    def __init__(self, flags: int = 0) -> None:
        _in_context()
        super().__init__(_taken("cudaEventCreate"))

    def record(self, stream: Stream | None = None) -> Event:
        _in_context()
        _call("cudaEventRecord", ctypes.c_void_p(self._handle), _stream(stream))
        return self

    def synchronize(self) -> Event:
        _call("cudaEventSynchronize", ctypes.c_void_p(self._handle))
        return self

    def time_since(self, event: Event) -> float:
        value = ctypes.c_float()
        begin, end = (ctypes.c_void_p(item._handle) for item in (event, self))
        _call("cudaEventElapsedTime", ctypes.byref(value), begin, end)
        return value.value

    def time_till(self, event: Event) -> float:
        return event.time_since(self)


def _stream(stream: Stream | None) -> Any:
    return ctypes.c_void_p(stream.handle if stream else None)


def init(flags: int = 0) -> None:
    _integer("cudaGetDeviceCount")


def get_version() -> tuple[int, int, int]:
    number = _integer("cudaRuntimeGetVersion")
    return number // 1000, number % 1000 // 10, number % 10


def get_driver_version() -> int:
    return _integer("cudaDriverGetVersion")


def mem_get_info() -> tuple[int, int]:
    _in_context()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
    return free.value, total.value


def mem_alloc(size: int) -> DeviceAllocation:
    _in_context()
    return DeviceAllocation(_taken("cudaMalloc", ctypes.c_size_t(size)))


class _Pinned(np.ndarray[Any, Any]):
    """An array whose `base` is the allocation, as pycuda's are."""

    allocation: PagelockedHostAllocation

    @property
    def base(self) -> Any:
        return self.allocation


def pagelocked_empty(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> Any:
    _in_context()
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    allocation = PagelockedHostAllocation(_taken("cudaMallocHost", ctypes.c_size_t(size)))
    held = (ctypes.c_ubyte * size).from_address(allocation._handle)
    array = np.frombuffer(held, dtype).reshape(shape).view(_Pinned)
    array.allocation = allocation
    return array


def memcpy_htod_async(dest: Any, src: Any, stream: Stream | None = None) -> None:
    _copy(int(dest), src.ctypes.data, src.nbytes, TO_DEVICE, stream)


def memcpy_dtoh_async(dest: Any, src: Any, stream: Stream | None = None) -> None:
    _copy(dest.ctypes.data, int(src), dest.nbytes, TO_HOST, stream)


def _copy(target: int, source: int, size: int, kind: int, stream: Stream | None) -> None:
    _in_context()
    places = ctypes.c_void_p(target), ctypes.c_void_p(source), ctypes.c_size_t(size)
    _call("cudaMemcpyAsync", *places, kind, _stream(stream))


def pycuda_driver(library: Library) -> ModuleType:
    """This module as `pycuda.driver`, on that library."""
    Library.current = library
    return as_module("pycuda.driver")


def as_module(name: str) -> ModuleType:
    made = ModuleType(name, __doc__)
    hidden = {"Library", "loaded", "pycuda_driver", "as_module", "TO_DEVICE", "TO_HOST"}
    for key, item in globals().items():
        if not key.startswith("_") and key not in hidden:
            setattr(made, key, item)
    return made
