"""What runs on devices imports only what devices have."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
STANDARD = set(sys.stdlib_module_names)
ALLOWED = {
    "yardarm_wire": STANDARD | {"yardarm_wire"},
    "yardarm_agent": STANDARD | {"yardarm_wire", "yardarm_agent"},
    "yardarm_runtime": STANDARD
    | {"yardarm_wire", "yardarm_runtime", "numpy", "onnxruntime", "psutil", "waitress"}
    | {"tensorrt", "tensorrt_rtx", "pycuda"},
}


def imported(code: str) -> set[str]:
    """The top-level packages that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code, feature_version=(3, 8))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_a_device_package_imports_only_what_it_may(package: str) -> None:
    files = sorted((SOURCE / package).rglob("*.py"))
    assert files
    foreign = {
        f"{file.relative_to(SOURCE)}: {name}"
        for file in files
        for name in imported(file.read_text(encoding="utf-8")) - ALLOWED[package]
    }
    assert not foreign


def test_imports_inside_functions_count() -> None:
    assert imported("def f():\n    import os.path\n    from requests.api import get") == {
        "os",
        "requests",
    }
