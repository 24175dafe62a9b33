"""The models, each trained once a session (about 30 CPU seconds for all four)."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest

from yardarm.project import Project
from zoo.subject import write

Zoo = Callable[[str], Project]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """The project of a model by its module's name: `zoo("transformer")`."""
    folder = tmp_path_factory.mktemp("zoo")
    made: dict[str, Project] = {}

    def project(name: str) -> Project:
        if name not in made:
            made[name] = write(importlib.import_module(f"zoo.{name}").make(), folder / name)
        return made[name]

    return project
