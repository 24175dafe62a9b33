"""The models of tests/zoo, each trained once a session (about 30 CPU seconds for all four).

`zoo` is there for every test (tests/conftest.py names this plugin).
"""

from __future__ import annotations

import fcntl
import importlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from yardarm.project import FILE, Project, load

Zoo = Callable[[str], Project]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """The project of a model by its module's name: `zoo("transformer")`. All workers share it."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "zoo"
    folder.mkdir(exist_ok=True)

    def trained(name: str) -> Project:
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return load(folder / name) if _is_there(folder / name) else _train(name, folder / name)

    return trained


def _is_there(folder: Path) -> bool:
    return (folder / FILE).is_file()  # written last


def _train(name: str, folder: Path) -> Project:
    from zoo.subject import write

    return write(importlib.import_module(f"zoo.{name}").make(), folder)
