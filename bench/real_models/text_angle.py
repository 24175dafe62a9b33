"""The example of this repository, and as many further lines of text as a claim needs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from real_models.preparing import Arrays

EXAMPLE = Path(__file__).parents[2] / "examples" / "text-angle"
SEED = 1000  # the example's own data have the seeds 1 and 2
LINES, TOGETHER = 40_000, 500


def prepare() -> Path:
    subprocess.run([sys.executable, EXAMPLE / "prepare.py"], check=True, timeout=900)
    return EXAMPLE


def held_out() -> Iterator[Arrays]:
    """Lines that nobody saw yet, drawn as they are asked for: together they'd be gigabytes."""
    drawing = _example()
    fonts = drawing.find_fonts()
    for number in range(LINES // TOGETHER):
        yield drawing.draw(SEED + number, TOGETHER, fonts)


def _example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("text_angle_example", EXAMPLE / "prepare.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
