"""The fake libcudart counts, waits and fails as our code needs it to."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trt import fakes

NOTHING = {"device": 0, "host": 0, "streams": 0, "events": 0}
TO_DEVICE, TO_HOST = 1, 2
INVALID, NO_MEMORY, BAD_HANDLE, NOT_READY = 1, 2, 400, 600


class Cuda:
    """The functions with sizes and pointers as they are in C."""

    def __init__(self, library: fakes.Library) -> None:
        self.library = library

    def __call__(self, function: str, *arguments: Any) -> int:
        wide = [ctypes.c_size_t(item) if isinstance(item, int) else item for item in arguments]
        code: int = getattr(self.library.functions, function)(*wide)
        return code

    def made(self, function: str, *arguments: Any) -> int:
        handle = ctypes.c_void_p()
        assert self(function, ctypes.byref(handle), *arguments) == 0
        return handle.value or 0

    def left(self) -> dict[str, int]:
        return {kind: count for kind, count in self.library.left().items() if kind in NOTHING}


@pytest.fixture
def cuda(tmp_path: Path) -> Iterator[Cuda]:
    yield Cuda(fakes.library(tmp_path))


def bytes_at(place: int, size: int = 4) -> bytes:
    return ctypes.string_at(place, size)


def test_what_is_taken_is_counted(cuda: Cuda) -> None:
    assert cuda.left() == NOTHING
    device, host = cuda.made("cudaMalloc", 100), cuda.made("cudaMallocHost", 100)
    other = cuda.made("cudaHostAlloc", 100, 0)
    stream, event = cuda.made("cudaStreamCreate"), cuda.made("cudaEventCreate")
    assert cuda.left() == {"device": 1, "host": 2, "streams": 1, "events": 1}
    assert device % 256 == 0
    assert cuda.library.holds(device, 100) and not cuda.library.holds(device, 101)
    assert not cuda.library.holds(host, 100)
    assert cuda("cudaFree", host) == INVALID and cuda("cudaFree", device + 4) == INVALID
    assert (
        cuda("cudaFreeHost", host) == cuda("cudaFreeHost", other) == cuda("cudaFree", device) == 0
    )
    assert cuda("cudaFree", device) == INVALID
    assert cuda("cudaStreamDestroy", stream) == cuda("cudaEventDestroy", event) == 0
    assert cuda("cudaStreamDestroy", stream) == BAD_HANDLE
    assert cuda.left() == NOTHING


def test_work_waits_for_its_stream(cuda: Cuda) -> None:
    device, host = cuda.made("cudaMalloc", 4), cuda.made("cudaMallocHost", 4)
    stream, other = cuda.made("cudaStreamCreate"), cuda.made("cudaStreamCreate")
    ctypes.memmove(host, b"abcd", 4)
    assert cuda("cudaMemcpyAsync", device, host, 4, TO_DEVICE, stream) == 0
    ctypes.memmove(host, b"efgh", 4)  # too early: the copy has not been made
    order: list[str] = []
    assert cuda.library.enqueue(stream, lambda: order.append(bytes_at(device).decode()))
    assert cuda("cudaStreamSynchronize", other) == 0 and not order
    assert cuda("cudaStreamQuery", stream) == NOT_READY
    assert cuda("cudaStreamSynchronize", stream) == 0 and order == ["efgh"]
    ctypes.memmove(host, b"....", 4)
    assert cuda("cudaMemcpyAsync", host, device, 4, TO_HOST, stream) == 0
    assert bytes_at(host) == b"...."
    assert cuda("cudaDeviceSynchronize") == 0 and bytes_at(host) == b"efgh"


def test_copies_are_held_against_what_is_allocated(cuda: Cuda) -> None:
    device, host = cuda.made("cudaMalloc", 4), cuda.made("cudaMallocHost", 8)
    assert cuda("cudaMemcpyAsync", device, host, 8, TO_DEVICE, 0) == INVALID
    assert cuda("cudaMemcpyAsync", host, host, 4, TO_DEVICE, 0) == INVALID
    assert cuda("cudaMemcpyAsync", host, device, 4, TO_HOST, 12345) == BAD_HANDLE
    assert cuda.library.left()["pageable"] == 0
    usual = ctypes.create_string_buffer(b"abcd", 4)
    assert cuda("cudaMemcpyAsync", device, usual, 4, TO_DEVICE, 0) == 0
    assert bytes_at(device) == b"abcd"
    assert cuda.library.left()["pageable"] == 1
    assert cuda("cudaMemcpy", usual, device, 4, TO_HOST) == 0


def test_what_fails_on_a_stream_surfaces_when_it_is_waited_for(
    cuda: Cuda, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = cuda.made("cudaStreamCreate")

    def fail() -> None:
        raise ValueError("no such kernel")

    assert cuda.library.enqueue(stream, fail)
    assert cuda("cudaStreamSynchronize", stream) == 719
    assert cuda("cudaGetLastError") == 719 and cuda("cudaGetLastError") == 0
    assert "no such kernel" in capfd.readouterr().err


def test_events_take_the_time_of_their_stream(cuda: Cuda) -> None:
    stream = cuda.made("cudaStreamCreate")
    begin, end = cuda.made("cudaEventCreate"), cuda.made("cudaEventCreate")
    value = ctypes.c_float(-1)

    def elapsed() -> int:
        return cuda("cudaEventElapsedTime", ctypes.byref(value), begin, end)

    assert elapsed() == BAD_HANDLE
    assert cuda("cudaEventRecord", begin, stream) == cuda("cudaEventRecord", end, stream) == 0
    assert elapsed() == NOT_READY and cuda("cudaEventQuery", end) == NOT_READY
    assert cuda("cudaEventSynchronize", end) == 0 and elapsed() == 0 and value.value >= 0


def test_the_nth_call_fails_as_asked(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CUDART_FAIL", "cudaMalloc:2,cudaStreamCreate:1:719")
    pointer = ctypes.c_void_p()
    codes = [cuda("cudaMalloc", ctypes.byref(pointer), 4) for _ in range(3)]
    assert codes == [0, NO_MEMORY, 0]
    assert cuda("cudaStreamCreate", ctypes.byref(pointer)) == 719
    monkeypatch.setenv("FAKE_CUDART_FAIL", "cudaMalloc:1")
    assert cuda("cudaMalloc", ctypes.byref(pointer), 4) == NO_MEMORY
    monkeypatch.delenv("FAKE_CUDART_FAIL")
    assert cuda("cudaMalloc", ctypes.byref(pointer), 4) == 0


def test_memory_ends(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_MEMORY_MB", "1")
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    cuda.made("cudaMalloc", 1 << 19)
    assert cuda("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total)) == 0
    assert (free.value, total.value) == (1 << 19, 1 << 20)
    assert cuda("cudaMalloc", ctypes.byref(ctypes.c_void_p()), (1 << 19) + 1) == NO_MEMORY


def test_the_device_says_what_it_is(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    value = ctypes.c_int()
    numbers = []
    monkeypatch.setenv("FAKE_SM", "110")
    for attribute in (75, 76):
        cuda("cudaDeviceGetAttribute", ctypes.byref(value), attribute, 0)
        numbers.append(value.value)
    assert numbers == [11, 0]
    name = ctypes.create_string_buffer(4096)
    assert cuda("cudaGetDeviceProperties", name, 0) == 0 and name.value == b"Fake Orin"
    monkeypatch.setenv("FAKE_DEVICES", "0")
    assert cuda("cudaGetDeviceCount", ctypes.byref(value)) == 100
    cuda.library.functions.cudaGetErrorName.restype = ctypes.c_char_p
    assert cuda.library.functions.cudaGetErrorName(100) == b"cudaErrorNoDevice"


def test_a_process_tells_what_it_leaves_behind(tmp_path: Path) -> None:
    site = fakes.site(tmp_path, "10.3")
    program = (
        "import ctypes; cuda = ctypes.CDLL('libcudart.so'); p = ctypes.c_void_p()\n"
        "for size in (1, 2): cuda.cudaMalloc(ctypes.byref(p), ctypes.c_size_t(size))\n"
        "cuda.cudaFree(p)"
    )
    environment = {**os.environ, **site.environment}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
    assert site.left() == {**NOTHING, "device": 1, "pageable": 0}


def test_pycuda_wants_a_context_and_frees_what_nobody_holds(cuda: Cuda) -> None:
    driver = fakes.pycuda_driver(cuda.library)
    driver.init()
    device = driver.Device(0)
    assert (device.name(), device.compute_capability()) == ("Fake Orin", (8, 7))
    with pytest.raises(driver.LogicError, match="context"):
        driver.mem_alloc(4)
    context = device.retain_primary_context()
    context.push()
    try:
        stream, memory = driver.Stream(), driver.mem_alloc(8)
        array = driver.pagelocked_empty((2,), "float32")
        array[:] = [1, 2]
        driver.memcpy_htod_async(memory, array, stream)
        stream.synchronize()
        assert bytes_at(int(memory), 8) == array.tobytes()
        driver.memcpy_dtoh_async(array, memory, stream)
        stream.synchronize()
        assert cuda.library.left() == {
            "device": 1,
            "host": 1,
            "streams": 1,
            "events": 0,
            "pageable": 0,
        }
        memory.free()
        with pytest.raises(driver.LogicError):
            memory.free()
        array.base.free()
        del stream
        assert cuda.left() == NOTHING
    finally:
        context.pop()
