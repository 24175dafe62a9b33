"""CUDA behind one seam: pycuda where it is installed, else the runtime library by ctypes."""

from __future__ import annotations

from yardarm_runtime.cuda.protocol import Cuda
from yardarm_runtime.problems import Problem

__all__ = ["Cuda", "open_cuda"]

MISSING = (
    "there is no CUDA here: neither pycuda nor libcudart can be loaded. Both come with the "
    "JetPack base image; the container has to run with NVIDIA's runtime (--runtime nvidia)"
)


def open_cuda() -> Cuda:
    """The first way to CUDA that is there.

    Raises:
        Problem: there is none, or it has no device.
    """
    from yardarm_runtime.cuda import cudart, pycuda_driver

    for way in (pycuda_driver.load, cudart.load):
        found = way()
        if found is not None:
            return found
    raise Problem(MISSING)
