"""The image of a project, and optionally a file of it to carry elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from yardarm import image as stage
from yardarm import lockfile, signing
from yardarm.artifacts import Image
from yardarm.events import Note, Sink, silent
from yardarm.flow.target import check_file
from yardarm.flow.workspace import Workspace, workspace
from yardarm.image import Layer, Layers, Spec
from yardarm.image.attachments import SBOM, SIGNATURE, Attachment, attach, read
from yardarm.image.dockerfile import dockerfile
from yardarm.image.duplicates import Duplicate, duplicates
from yardarm.image.packing import packed
from yardarm.image.provenance import Origin


@dataclass(frozen=True)
class Composed:
    """An image in the store under `reference`, and what it was made of."""

    image: Image
    reference: str
    made: Layers
    attachments: tuple[Attachment, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()

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


def describe(
    image: Image, made: Layers, opened: Workspace, sink: Sink = silent
) -> tuple[Attachment, ...]:
    """What is attached to the composed image, or to the same one packed; signed where the user
    has a key.

    Raises:
        InvalidInput: the key can't be used.
        YardarmError: no space left.
    """
    origin = Origin(opened.project.name, made.spec, opened.profile, made.used, made.source)
    return attach(image, origin, opened.store, key=signing.load(), sink=sink)


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
        notes = describe(composed.image, composed.made, opened, sink)
        if output:
            _save(composed, opened, output, sink)
        twice = duplicates(composed.layers, opened.store)
    return replace(composed, attachments=notes, duplicates=twice)


def _save(composed: Composed, opened: Workspace, output: Path, sink: Sink) -> None:
    out = packed(composed.image, opened.store, sink)
    notes = describe(out, composed.made, opened, sink)
    if not any(note.kind == SIGNATURE for note in notes):
        sink(Note("no signing key: the archive has no signature"))
    name = f"{_repository(opened.project.name)}:latest"
    stage.save(out, opened.store, output, name=name, attachments=notes, sink=sink)


def bill(where: Path, profile: str | None, sink: Sink = silent) -> bytes:
    """The software bill of materials of a project's image, composed first where it is not yet;
    CycloneDX as JSON. Raises as `image` does."""
    with workspace(where, profile, "yardarm image sbom") as opened:
        composed = compose(opened, sink)
        describe(composed.image, composed.made, opened, sink)
        return read(SBOM, composed.image, opened.store) or b""


def recipe(where: Path, profile: str | None, sink: Sink = silent) -> str:
    """A Dockerfile for an image equivalent to the project's, which is composed first where it is
    not yet. Raises as `image` does."""
    with workspace(where, profile, "yardarm image dockerfile") as opened:
        composed = compose(opened, sink)
        return dockerfile(composed.made, composed.image.config, opened.store)


def _repository(name: str) -> str:
    """A folder's name in the letters that repositories may have."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "image"
