"""An image built from nothing, downloads included, beside the emulated way; and built again when
nothing, the model, or the application has changed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest

import cost
from cost import Cost
from figures import Bar, Hand

ROUNDS = 5
EMULATED = Path(__file__).parent / "emulated.py"

SETTINGS = """
[image]
source = ["app"]
"""


@dataclass(frozen=True)
class Project:
    """A copy of the example with an application, and a store and caches of its own."""

    folder: Path
    program: Path
    environment: Mapping[str, str]

    def build(self, *more: str | Path) -> Cost:
        argv = [self.program, "image", "--project", self.folder, "--profile", "raspberry-pi-5"]
        return cost.of([*argv, *more], env=self.environment)

    def blobs(self) -> dict[str, int]:
        """What the store holds: name to bytes."""
        place = Path(self.environment["YARDARM_STORE"]) / "blobs/sha256"
        return {file.name: file.stat().st_size for file in place.iterdir()}


@pytest.fixture
def project(program: Path, example: Path, tmp_path: Path) -> Project:
    folder = tmp_path / "text-angle"
    left_out = shutil.ignore_patterns(".yardarm", "data", "yardarm.lock")
    shutil.copytree(example, folder, ignore=left_out)
    (folder / "app").mkdir()
    (folder / "app/main.py").write_text("ANSWER = 0\n")
    with (folder / "yardarm.toml").open("a") as settings:
        settings.write(SETTINGS)
    fresh = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "YARDARM_STORE": str(tmp_path / "store")}
    fresh["PYTHONDONTWRITEBYTECODE"] = ""  # as where Yardarm is installed: compiled once
    return Project(folder, program, fresh)


def bench_image(benchmark: Any, figure: Hand, project: Project, tmp_path: Path) -> None:
    cold = project.build()
    archive = tmp_path / "image.tar"
    packing = project.build("--output", archive)
    emulated = cost.of([sys.executable, EMULATED, tmp_path / "emulated.tar.gz"])
    peer = ("mmdebstrap and pip under QEMU", emulated.cpu)
    figure("image/cold", cold.wall, "s", Bar("value", 60))
    figure("image/cold-cpu", cold.cpu + packing.cpu, "CPU s", Bar("ratio", 0.1), peer)
    figure("image/cold-peak", cold.peak_mb, "MB", Bar("value", 500))
    figure("image/archive", archive.stat().st_size / 1e6, "MB", Bar("value", 60))
    warm: list[float] = []
    benchmark.pedantic(lambda: warm.append(project.build().wall), rounds=ROUNDS)
    figure("image/warm", min(warm), "s", Bar("value", 0.5))
    _changes(figure, project)


def _changes(figure: Hand, project: Project) -> None:
    before = project.blobs()
    walls = [_with_other_model(project, number) for number in range(ROUNDS)]
    added = sum(size for name, size in project.blobs().items() if name not in before)
    figure("image/model-changed", min(walls), "s", Bar("value", 0.5))
    figure("image/model-changed-bytes", added, "bytes", Bar("value", 0))
    walls = [_with_other_code(project, number) for number in range(ROUNDS)]
    figure("image/code-changed", min(walls), "s", Bar("value", 2))


def _with_other_model(project: Project, number: int) -> float:
    model = onnx.load(project.folder / "model.onnx")
    model.doc_string = f"version {number}"
    onnx.save(model, project.folder / "model.onnx")
    return project.build().wall


def _with_other_code(project: Project, number: int) -> float:
    (project.folder / "app/main.py").write_text(f"ANSWER = {number + 1}\n")
    return project.build().wall
