"""What there is to run models with, and what the machine is."""

from __future__ import annotations

import os
import platform
from typing import Any, Dict, List, Optional

import numpy as np

from yardarm_runtime import device, tensorrt
from yardarm_runtime.cuda import Cuda, open_cuda
from yardarm_runtime.tensorrt import memory

MODEL, RELEASE = "proc/device-tree/model", "etc/nv_tegra_release"


def machine(device_file: Optional[str], root: str = "/") -> Dict[str, Any]:
    """Its identity; "" and None are unknown. In a container the agent's file knows more."""
    told = device.read(device_file)
    return {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "module": told.module or _line(root, MODEL),
        "l4t": told.l4t or _line(root, RELEASE),
        "power_mode": told.power_mode,
        "jetson_clocks": told.jetson_clocks,
        "memory_mb": told.memory_mb or _memory_mb(),
    }


def _line(root: str, path: str) -> str:
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as stream:
            return stream.readline(1000).strip("\0\n ")
    except OSError:
        return ""


def _memory_mb() -> Optional[int]:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (ValueError, OSError):
        return None


def onnxruntime() -> Dict[str, Any]:
    """Raises ImportError."""
    import onnxruntime as module

    providers: List[str] = module.get_available_providers()
    return {"onnxruntime": module.__version__, "providers": providers}


def trt() -> Dict[str, Any]:
    """Raises Problem."""
    return {"tensorrt": str(tensorrt.load().__version__)}


def cuda() -> Dict[str, Any]:
    """Raises Problem."""
    found: Cuda = open_cuda()
    major, minor = found.capability()
    free = memory.available() if found.integrated() else found.memory()[0]
    return {
        "gpu": found.name(),
        "sm": major * 10 + minor,
        "cuda_by": found.route,
        "free_mb": None if free is None else free >> 20,
        **found.versions(),
    }
