"""What docs/service.md says of the service, held against a service."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import tiny
from docs_blocks import blocks
from yardarm_runtime.counters import Counters
from yardarm_runtime.engines.onnxruntime import OnnxRuntime
from yardarm_runtime.service import Service

PAGE = Path(__file__).parents[2] / "docs" / "service.md"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(tiny.model())
    (folder / "golden.npz").write_bytes(tiny.golden())
    return folder


def test_every_route_is_on_the_page(bundle: Path) -> None:
    service = Service(str(bundle), OnnxRuntime(str(bundle)), Counters())
    routes = {f"{method} {path}" for path, (method, _action) in service._routes.items()}
    assert set(re.findall(r"`((?:GET|POST) /\w+)`", PAGE.read_text())) == routes


def test_the_example_runs(
    bundle: Path, serving: Callable[..., AbstractContextManager[tuple[Any, int]]]
) -> None:
    (example,) = (block for block in blocks(PAGE) if block.language == "python")
    with serving(bundle) as (_process, port):
        code = example.text.replace(":8000/", f":{port}/")
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str({tiny.OUTPUT: (1, 2)})
