"""A program of the project's own is refused by `deploy` before anything is compiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from yardarm import profiles, project
from yardarm.errors import Unsupported
from yardarm.events import silent
from yardarm.flow import deploy
from yardarm.flow.workspace import Workspace
from yardarm.store import Store


def test_a_program_of_the_projects_own(tmp_path: Path) -> None:
    (tmp_path / "yardarm.toml").write_text(
        '[model]\nsource = "m"\n[data]\ncalibration = "c"\nevaluation = "e"\n'
        '[run]\ncommand = ["python3", "-m", "app"]\n'
    )
    store = Store(tmp_path / "store")
    opened = Workspace(project.load(tmp_path), profiles.load("raspberry-pi-5"), store)
    with pytest.raises(Unsupported, match="program of its own") as refused:
        deploy._parts(opened, silent)
    assert "yardarm image --output" in refused.value.hint
    assert not store.root.exists()
