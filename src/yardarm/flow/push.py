"""The image of a project into a registry, with what is attached to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yardarm import registry
from yardarm.artifacts import Image
from yardarm.events import Note, Sink, silent
from yardarm.flow.image import compose, describe
from yardarm.flow.workspace import workspace
from yardarm.image.attachments import SIGNATURE, Attachment
from yardarm.image.packing import packed
from yardarm.registry import Pushed, Reference


@dataclass(frozen=True)
class Sent:
    """An image in a registry under `reference`, and what was attached to it there.

    Attributes:
        image: as it was pushed, our layers gzipped; its config is the composed image's.
    """

    reference: Reference
    image: Image
    pushed: Pushed
    attachments: tuple[Attachment, ...]


def push_project(
    where: Path,
    profile: str | None,
    reference: str,
    sink: Sink = silent,
    *,
    index: bool = False,
    plain_http: bool = False,
) -> Sent:
    """Compose the image of the project at `where`, and push it with its bill of materials, its
    provenance and, where there is a signing key, its signature.

    Args:
        reference: REGISTRY/REPOSITORY:TAG.
        index: let the tag name an index, in which images for other platforms stay.
        plain_http: speak HTTP without TLS.

    Raises:
        UsageError, InvalidInput, Busy: as `workspace` does.
        InvalidInput, Unsupported, YardarmError: as `yardarm.image.compose` does.
        InvalidInput, Unreachable, VerificationFailed: as `registry.push` does.
    """
    name = registry.taggable(Reference.parse(reference))
    with workspace(where, profile, "yardarm image push") as opened:
        registry.expect_welcome(name, sink, plain_http=plain_http)
        composed = compose(opened, sink)
        out = packed(composed.image, opened.store, sink)
        notes = describe(out, composed.made, opened, sink)
        if not any(note.kind == SIGNATURE for note in notes):
            sink(Note("no signing key: the image is pushed without a signature"))
        done = registry.push(out, opened.store, name, sink, index=index, plain_http=plain_http)
        manifests = [note.manifest for note in notes]
        registry.attach(manifests, opened.store, name, sink, plain_http=plain_http)
    return Sent(name, out, done, notes)
