"""The few operations of CUDA that running an engine needs."""

from __future__ import annotations

from typing import Any, Dict, Protocol, Tuple

import numpy as np


class Cuda(Protocol):
    """Device 0. Pointers, streams and events are integers, as TensorRT takes them.

    Every method raises Problem with CUDA's own name and text of the error; an error of
    work that was only queued surfaces in `synchronize`.
    """

    route: str
    """Which way it is: pycuda, or the library's name."""

    def name(self) -> str:
        """Of the device, such as "Orin"."""

    def capability(self) -> Tuple[int, int]:
        """Compute capability (major, minor). Takes no memory of the device."""

    def integrated(self) -> bool:
        """Whether the device shares the memory of the CPU, as a Jetson's does."""

    def versions(self) -> Dict[str, str]:
        """Of the runtime library and of the driver, such as "12.6"."""

    def memory(self) -> Tuple[int, int]:
        """(free, total) in bytes."""

    def allocate(self, size: int) -> int:
        """`size` bytes of the device's memory."""

    def free(self, pointer: int) -> None: ...

    def pinned(self, shape: Tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        """An array in memory that the device reads and writes by itself."""

    def free_pinned(self, array: np.ndarray[Any, Any]) -> None:
        """Nobody may touch the array afterwards."""

    def stream(self) -> int: ...

    def free_stream(self, stream: int) -> None: ...

    def copy_in(self, pointer: int, array: np.ndarray[Any, Any], stream: int) -> None:
        """Queue a copy of a pinned array to the device."""

    def copy_out(self, array: np.ndarray[Any, Any], pointer: int, stream: int) -> None:
        """Queue a copy from the device into a pinned array."""

    def synchronize(self, stream: int) -> None:
        """Wait until all that was queued is done."""

    def event(self) -> int: ...

    def free_event(self, event: int) -> None: ...

    def record(self, event: int, stream: int) -> None: ...

    def elapsed_ms(self, begin: int, end: int) -> float:
        """Between two recorded events that have happened, to about half a microsecond."""
