"""The image of a project, and optionally a file of it to carry elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from yardarm import image as stage
from yardarm.artifacts import Image
from yardarm.events import Sink, silent
from yardarm.flow.target import check_file
from yardarm.flow.workspace import Workspace, workspace
from yardarm.image import Layer


@dataclass(frozen=True)
class Composed:
    """An image in the store under `reference`, with the layers it was made of."""

    image: Image
    reference: str
    layers: tuple[Layer, ...]


def compose(opened: Workspace, sink: Sink = silent) -> Composed:
    """Compose the image of an opened project. Raises as `yardarm.image.compose` does."""
    requirements = opened.project.image.requirements
    layers = stage.layers(requirements, opened.profile, opened.store, sink)
    reference = f"image/{opened.project.name}"
    return Composed(stage.assemble(layers, opened.store, reference=reference), reference, layers)


def image(
    where: Path, profile: str | None, sink: Sink = silent, *, output: Path | None = None
) -> Composed:
    """Compose the image of the project at `where`; with `output`, write it to an archive.

    Raises:
        UsageError, InvalidInput, Busy: as `workspace` does, or `output` can't be written.
        InvalidInput, Unsupported, YardarmError: as `yardarm.image.compose` does.
    """
    if output:
        check_file(output, "image.tar")
    with workspace(where, profile, "yardarm image") as opened:
        composed = compose(opened, sink)
        if output:
            name = f"{_repository(opened.project.name)}:latest"
            stage.save(composed.image, opened.store, output, name=name, sink=sink)
    return composed


def _repository(name: str) -> str:
    """A folder's name in the letters that repositories may have."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "image"
