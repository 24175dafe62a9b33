"""CUDA's runtime library through ctypes.

Functions and the numbers of attributes: CUDA Runtime API, modules "Device Management",
"Memory Management", "Stream Management" and "Event Management".
"""

from __future__ import annotations

import ctypes
from typing import Any, Dict, Optional, Tuple

import numpy as np

from yardarm_runtime.problems import Problem

NAMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so")

INTEGRATED = 18
MAJOR, MINOR = 75, 76
"""cudaDeviceAttr: cudaDevAttrIntegrated, cudaDevAttrComputeCapabilityMajor and -Minor."""

TO_DEVICE, TO_HOST = 1, 2
"""cudaMemcpyKind"""

PROPERTIES = 1 << 16
"""Bytes set aside for cudaDeviceProp, which grows with every version: only the name at its
beginning is read."""

_POINTER = ctypes.POINTER(ctypes.c_void_p)
_SIGNATURES = {
    "cudaGetDeviceCount": [ctypes.POINTER(ctypes.c_int)],
    "cudaDeviceGetAttribute": [ctypes.POINTER(ctypes.c_int), ctypes.c_int, ctypes.c_int],
    "cudaGetDeviceProperties": [ctypes.c_void_p, ctypes.c_int],
    "cudaRuntimeGetVersion": [ctypes.POINTER(ctypes.c_int)],
    "cudaDriverGetVersion": [ctypes.POINTER(ctypes.c_int)],
    "cudaMemGetInfo": [ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)],
    "cudaMalloc": [_POINTER, ctypes.c_size_t],
    "cudaFree": [ctypes.c_void_p],
    "cudaMallocHost": [_POINTER, ctypes.c_size_t],
    "cudaFreeHost": [ctypes.c_void_p],
    "cudaMemcpyAsync": [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_void_p,
    ],
    "cudaStreamCreate": [_POINTER],
    "cudaStreamDestroy": [ctypes.c_void_p],
    "cudaStreamSynchronize": [ctypes.c_void_p],
    "cudaEventCreate": [_POINTER],
    "cudaEventDestroy": [ctypes.c_void_p],
    "cudaEventRecord": [ctypes.c_void_p, ctypes.c_void_p],
    "cudaEventElapsedTime": [ctypes.POINTER(ctypes.c_float), ctypes.c_void_p, ctypes.c_void_p],
}  # type: Dict[str, Any]


def load() -> Optional[Cudart]:
    """None where no such library is there. Raises Problem where it has no device."""
    for name in NAMES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        return Cudart(library, name)
    return None


class Cudart:
    """`Cuda` by libcudart. Threads share the device's primary context by themselves.

    Raises:
        Problem: there is no device, or the library lacks a function.
    """

    def __init__(self, library: Any, name: str) -> None:
        self._library = library
        self.route = name
        for function, arguments in _SIGNATURES.items():
            try:
                pointer = getattr(library, function)
            except AttributeError:
                raise Problem("%s has no %s" % (name, function)) from None
            pointer.argtypes = arguments
            pointer.restype = ctypes.c_int
        for function in ("cudaGetErrorName", "cudaGetErrorString"):
            getattr(library, function).argtypes = [ctypes.c_int]
            getattr(library, function).restype = ctypes.c_char_p
        if self._integer("cudaGetDeviceCount") < 1:
            raise Problem("CUDA finds no device")

    def _call(self, function: str, *arguments: Any) -> None:
        code = getattr(self._library, function)(*arguments)
        if code:
            told = [self._library.cudaGetErrorName(code), self._library.cudaGetErrorString(code)]
            texts = [(text or b"unknown error").decode(errors="replace") for text in told]
            raise Problem("CUDA: %s failed: %s (%s)" % (function, texts[0], texts[1]))

    def _integer(self, function: str, *arguments: int) -> int:
        value = ctypes.c_int()
        self._call(function, ctypes.byref(value), *arguments)
        return value.value

    def _made(self, function: str, *arguments: int) -> int:
        handle = ctypes.c_void_p()
        self._call(function, ctypes.byref(handle), *arguments)
        return handle.value or 0

    def name(self) -> str:
        properties = ctypes.create_string_buffer(PROPERTIES)
        self._call("cudaGetDeviceProperties", ctypes.addressof(properties), 0)
        return properties.raw[:256].split(b"\0")[0].decode(errors="replace")

    def capability(self) -> Tuple[int, int]:
        return (
            self._integer("cudaDeviceGetAttribute", MAJOR, 0),
            self._integer("cudaDeviceGetAttribute", MINOR, 0),
        )

    def integrated(self) -> bool:
        return bool(self._integer("cudaDeviceGetAttribute", INTEGRATED, 0))

    def versions(self) -> Dict[str, str]:
        """The library writes 12060 for 12.6."""
        numbers = {
            "cuda": self._integer("cudaRuntimeGetVersion"),
            "cuda_driver": self._integer("cudaDriverGetVersion"),
        }
        return {
            name: "%d.%d" % (value // 1000, value % 1000 // 10) for name, value in numbers.items()
        }

    def memory(self) -> Tuple[int, int]:
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def allocate(self, size: int) -> int:
        return self._made("cudaMalloc", size)

    def free(self, pointer: int) -> None:
        self._call("cudaFree", pointer)

    def pinned(self, shape: Tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        count = int(np.prod(shape, dtype=np.int64))
        size = count * np.dtype(dtype).itemsize
        address = self._made("cudaMallocHost", size)
        held = (ctypes.c_ubyte * size).from_address(address)
        return np.frombuffer(held, dtype, count).reshape(shape)

    def free_pinned(self, array: np.ndarray[Any, Any]) -> None:
        self._call("cudaFreeHost", array.ctypes.data)

    def stream(self) -> int:
        return self._made("cudaStreamCreate")

    def free_stream(self, stream: int) -> None:
        self._call("cudaStreamDestroy", stream)

    def copy_in(self, pointer: int, array: np.ndarray[Any, Any], stream: int) -> None:
        self._call("cudaMemcpyAsync", pointer, array.ctypes.data, array.nbytes, TO_DEVICE, stream)

    def copy_out(self, array: np.ndarray[Any, Any], pointer: int, stream: int) -> None:
        self._call("cudaMemcpyAsync", array.ctypes.data, pointer, array.nbytes, TO_HOST, stream)

    def synchronize(self, stream: int) -> None:
        self._call("cudaStreamSynchronize", stream)

    def event(self) -> int:
        return self._made("cudaEventCreate")

    def free_event(self, event: int) -> None:
        self._call("cudaEventDestroy", event)

    def record(self, event: int, stream: int) -> None:
        self._call("cudaEventRecord", event, stream)

    def elapsed_ms(self, begin: int, end: int) -> float:
        value = ctypes.c_float()
        self._call("cudaEventElapsedTime", ctypes.byref(value), begin, end)
        return value.value
