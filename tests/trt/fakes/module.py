"""The fake TensorRT as a module object."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trt import bindings, surfaces
from trt.fakes import building, running, values
from trt.fakes.generated import Fake, generate

BEHAVIOURS: dict[str, type] = {
    name: item
    for room in (building, running, values)
    for name, item in vars(room).items()
    if isinstance(item, type) and item.__module__ == room.__name__
}


def tensorrt(version: str) -> Fake:
    """A fake of this version, one of `surfaces.NAMES`; each call makes another module."""
    name = "tensorrt_rtx" if version == bindings.RTX else "tensorrt"
    return of_surface(surfaces.load(version), name)


def of_surface(surface: Mapping[str, Any], name: str = "tensorrt") -> Fake:
    return generate(name, surface, BEHAVIOURS)


def from_environment(name: str) -> Fake:
    """For `import tensorrt`: the surface is in the file FAKE_TENSORRT_SURFACE."""
    return of_surface(json.loads(Path(os.environ["FAKE_TENSORRT_SURFACE"]).read_text()), name)


def calls(trt: Any) -> list[str]:
    """Names of what was called, in order."""
    names: list[str] = trt.__calls__
    return names
