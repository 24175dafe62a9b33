"""The fakes as packages and libraries that other processes find."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from trt import surfaces
from trt.fakes.cudart import KINDS, compile_into

TESTS = Path(__file__).parents[2]
TENSORRT = '''"""A fake of TensorRT, for tests: nothing here runs on a GPU."""
import sys

sys.path.append({tests!r})
from trt.fakes.module import from_environment

sys.modules[__name__] = from_environment(__name__)
'''
PYCUDA = '''"""A fake of pycuda, for tests."""
import sys

sys.path.append({tests!r})
from trt.fakes.pycuda import as_module

sys.modules[__name__] = as_module(__name__)
'''


@dataclass(frozen=True)
class Site:
    """A folder that a process is pointed at by `environment`."""

    folder: Path
    environment: dict[str, str]

    def calls(self) -> list[str]:
        """What was called in TensorRT, in order, by all processes."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.is_file() else []

    def left(self) -> dict[str, int]:
        """What was still allocated when the last process with a libcudart ended."""
        counts = (self.folder / "left").read_text().split()
        return dict(zip(KINDS, map(int, counts), strict=True))


def site(folder: Path, version: str, pycuda: bool = False, cuda: bool = True) -> Site:
    """Packages `tensorrt` (of this version) and perhaps `pycuda` in `folder`, and libcudart."""
    packages = folder / "packages"
    (packages / "tensorrt").mkdir(parents=True)
    (packages / "tensorrt" / "__init__.py").write_text(TENSORRT.format(tests=str(TESTS)))
    surface = folder / "surface.json"
    surface.write_text(json.dumps(surfaces.load(version)))
    if pycuda:
        (packages / "pycuda").mkdir()
        (packages / "pycuda" / "__init__.py").write_text("")
        (packages / "pycuda" / "driver.py").write_text(PYCUDA.format(tests=str(TESTS)))
    environment = {
        "PYTHONPATH": os.pathsep.join(
            [str(packages), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
        "FAKE_TENSORRT_SURFACE": str(surface),
        "FAKE_TENSORRT_CALLS": str(folder / "calls"),
    }
    if cuda:
        path = compile_into(folder / "libraries")
        environment["LD_LIBRARY_PATH"] = str(path.parent)
        environment["FAKE_CUDART"] = str(path)
        environment["FAKE_CUDART_REPORT"] = str(folder / "left")
    return Site(folder, environment)
