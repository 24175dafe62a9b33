"""Building and running TensorRT engines, on the device that they are for.

The module of TensorRT is handed in as `trt` everywhere, and imported by `load` alone.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

from yardarm_runtime.problems import Problem

MISSING = (
    "TensorRT can't be imported (%s). It is not installed by pip: it comes with the JetPack base "
    "image, so start from that one; in a virtual environment there, make it with "
    "`python3 -m venv --system-site-packages`"
)


def there() -> bool:
    """Whether TensorRT can be imported, without doing it."""
    return "tensorrt" in sys.modules or find_spec("tensorrt") is not None


def load() -> Any:
    """The module of TensorRT.

    Raises:
        Problem: it is not there, or doesn't load.
    """
    # Kernels that nobody calls need no memory then; CUDA reads it when it starts.
    os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")
    try:
        import tensorrt as trt
    except (ImportError, OSError) as error:
        raise Problem(MISSING % error) from None
    return trt
