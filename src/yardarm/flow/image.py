"""The image of a project, and optionally a file of it to carry elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from yardarm import image as stage
from yardarm import lockfile
from yardarm.artifacts import Image
from yardarm.events import Sink, silent
from yardarm.flow.target import check_file
from yardarm.flow.workspace import Workspace, workspace
from yardarm.image import Layer, Layers, Spec


@dataclass(frozen=True)
class Composed:
    """An image in the store under `reference`, and what it was made of."""

    image: Image
    reference: str
    made: Layers

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.made.parts


def compose(opened: Workspace, sink: Sink = silent) -> Composed:
    """Compose the image of an opened project; what was found is written to its lock.

    Raises as `yardarm.image.compose` does.
    """
    file = opened.project.root / lockfile.FILE
    spec = Spec.of(opened.project)
    made = stage.layers(spec, opened.profile, opened.store, sink, lock=lockfile.load(file))
    reference = f"image/{opened.project.name}"
    image = stage.assemble(made, opened.store, reference=reference)
    lockfile.save(made.lock, file)
    return Composed(image, reference, made)


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
