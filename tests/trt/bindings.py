"""TensorRT's real Python bindings without TensorRT: fetched, made importable by libraries of
stubs, and read for their API. Nothing of them can run.

Wheels and what was read of them stay in the user's cache.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yardarm import digest, paths

HERE = Path(__file__).parent
# By the name of the surface: what is fetched.
WHEELS = {
    "8.6": "tensorrt-bindings==8.6.1",
    "10.0": "tensorrt-cu12-bindings==10.0.1",
    "10.3": "tensorrt-cu12-bindings==10.3.0",
    "10.13": "tensorrt-cu12-bindings==10.13.3.9",
    "10.16": "tensorrt-cu12-bindings==10.16.1.11",
    "11.4": "tensorrt-cu12-bindings==11.4.0.106",
}
NEWEST_PYTHON = {"8.6": (3, 11)}
RTX = "rtx"  # installed with the test packages, libraries included
LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin", "nvparsers")


@functools.cache
def surface(name: str) -> dict[str, Any]:
    """What `dump_surface` reads of one of WHEELS, or of RTX."""
    if name == RTX:
        return _dumped("tensorrt_rtx", {})
    key = digest.of_json([WHEELS[name], _python(), _reader()])
    file = paths.cache() / "tests" / "tensorrt" / f"{digest.short(key)}.json"
    if not file.is_file():
        _published(file, lambda part: _write(part, name))
    read: dict[str, Any] = json.loads(file.read_text())
    return read


def _write(part: Path, name: str) -> None:
    with tempfile.TemporaryDirectory() as work:
        stubs = compiled_stubs(Path(work), WHEELS[name].split("==")[1].split(".")[0])
        with zipfile.ZipFile(wheel(name)) as archive:
            archive.extractall(work)
        environment = {"LD_LIBRARY_PATH": str(stubs), "PYTHONPATH": work}
        part.write_text(json.dumps(_dumped("tensorrt_bindings", environment)))


def _dumped(module: str, environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, HERE / "dump_surface.py", module],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{module} can't be imported:\n{done.stderr}"
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def compiled_stubs(folder: Path, major: str) -> Path:
    """A folder of libraries as the bindings of this major version look for them."""
    built = compiled(HERE / "stubs.c", folder / "libstubs.so")
    for library in LIBRARIES:
        shutil.copy(built, folder / f"lib{library}.so.{major}")
    return folder


def compiled(source: Path, library: Path) -> Path:
    """A shared library from one C file."""
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{source.name}:\n{done.stderr}"
    return library


def wheel(name: str) -> Path:
    """The wheel for this Python, fetched with pip unless it was before. Where there is none, the
    test is skipped, but not in CI."""
    if sys.version_info[:2] > NEWEST_PYTHON.get(name, sys.version_info) and "CI" not in os.environ:
        pytest.skip(f"{WHEELS[name]} has no wheel for Python {_python()}")
    folder = paths.cache() / "tests" / "tensorrt" / f"{WHEELS[name]}-{_python()}"
    if not folder.is_dir():
        _published(folder, lambda part: _fetch(part, WHEELS[name]))
    return next(folder.glob("*.whl"))


def _fetch(part: Path, requirement: str) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--python-version", _python(), "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", part, requirement]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{requirement} for Python {_python()}:\n{done.stderr}"


def _published(target: Path, make: Callable[[Path], None]) -> None:
    """Made beside, then renamed: tests of several checkouts may do so at the same time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        make(Path(work) / "part")
        try:
            (Path(work) / "part").rename(target)
        except OSError:
            assert target.exists()


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _reader() -> str:
    return (HERE / "dump_surface.py").read_text() + (HERE / "stubs.c").read_text()
