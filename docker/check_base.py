"""Check in a build that a base image has the Python and the TensorRT that a JetPack has.

    python3 check_base.py PYTHON TENSORRT      such as 3.10 10.3

On JetPack 5 and 6 TensorRT loads libraries of the driver, which the NVIDIA runtime mounts only
on a Jetson. Elsewhere the import ends there: TensorRT is then known to be in the base, not to
load, and the build says so.
"""

import importlib
import importlib.util
import sys
from typing import Any, Callable

DRIVER = ("libnvdla_compiler", "libcuda.so", "libnvos", "libnvrm", "libnvcudla")
"""Libraries of the device that are absent, or empty, without the NVIDIA runtime."""


def problem(
    python: str,
    tensorrt: str,
    find: Callable[[str], Any] = importlib.util.find_spec,
    load: Callable[[str], Any] = importlib.import_module,
) -> str:
    """What is wrong with the base, "" when nothing is."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if here != python:
        return f"the base has Python {here}, this recipe is for {python}"
    if find("tensorrt") is None:
        return f"the base has no module tensorrt: name one that has TensorRT {tensorrt}"
    try:
        found = load("tensorrt").__version__
    except (ImportError, OSError) as error:
        if not any(name in str(error) for name in DRIVER):
            return f"import tensorrt fails: {error}"
        print(f"not loaded: {error} (run the image on a Jetson to see)")
        return ""
    if found.split(".")[: len(tensorrt.split("."))] != tensorrt.split("."):
        return f"the base has TensorRT {found}, this recipe is for {tensorrt}"
    print(f"Python {here}, TensorRT {found}")
    return ""


if __name__ == "__main__":
    sys.exit(problem(*sys.argv[1:]))
