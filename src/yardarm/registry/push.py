"""An image into a registry: what it lacks, and then the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from yardarm.artifacts import MEDIA_MANIFEST, Descriptor, Image
from yardarm.digest import Digest, short
from yardarm.errors import InvalidInput
from yardarm.events import Sink, Step, silent, step
from yardarm.registry import indexes, origins, uploads
from yardarm.registry.client import Client
from yardarm.registry.parallel import Meter, together
from yardarm.registry.reference import Reference
from yardarm.registry.uploads import Way
from yardarm.store import Store


@dataclass(frozen=True)
class Pushed:
    """An image that is in a registry.

    Attributes:
        digest: what the tag names: the manifest, or the index that lists it.
        manifest: the image's own.
        sent, mounted, there: bytes of blobs that went out, that the registry took from another
            repository, and that it had.
    """

    digest: Digest
    manifest: Descriptor
    sent: int
    mounted: int
    there: int


def push(
    image: Image,
    store: Store,
    reference: Reference,
    sink: Sink = silent,
    *,
    index: bool = False,
    plain_http: bool = False,
) -> Pushed:
    """Send an image as it lies in the store.

    Args:
        reference: with a tag and without a digest.
        index: let the tag name an index, in which images for other platforms stay.

    Raises:
        InvalidInput: no right to push, or nothing that a tag could be.
        Unreachable: the registry is down, fails, cuts connections or asks to wait too long.
        VerificationFailed: a blob of the store is damaged, or a certificate not trusted.
    """
    tag = taggable(reference).tag or ""
    with step(sink, f"registry/{reference.repository}", "push image") as progress:
        manifest = Descriptor(MEDIA_MANIFEST, image.digest, store.path(image.digest).stat().st_size)
        with Client(reference, sink, plain_http=plain_http, writing=True) as client:
            moved = send_blobs(client, (image.config, *image.layers), store, progress)
            name = manifest.digest if index else tag
            client.put_manifest(name, store.read(manifest.digest), manifest.media_type)
            listed = indexes.put(client, tag, manifest, store) if index else manifest
        progress.cached = moved[Way.SENT] == moved[Way.MOUNTED] == 0
        progress.detail = f"{short(listed.digest)}, {_told(moved)}"
    return Pushed(listed.digest, manifest, moved[Way.SENT], moved[Way.MOUNTED], moved[Way.THERE])


def taggable(reference: Reference) -> Reference:
    """The reference, which has a tag and no digest. Raises InvalidInput for another."""
    if reference.digest or not reference.tag:
        raise InvalidInput(
            "an image is pushed to a tag, not to a digest",
            where=str(reference),
            hint="REGISTRY/REPOSITORY:TAG",
        )
    return reference


def expect_welcome(reference: Reference, sink: Sink = silent, *, plain_http: bool = False) -> None:
    """See that the registry answers and takes our credentials, before there is work in vain.

    Raises:
        InvalidInput: credentials are missing or refused.
        Unreachable: the registry is down or fails.
        VerificationFailed: its certificate is not trusted.
    """
    with Client(reference, sink, plain_http=plain_http, writing=True) as client:
        client.greet()


def send_blobs(
    client: Client, blobs: Sequence[Descriptor], store: Store, progress: Step
) -> Counter[Way]:
    """See to it that the repository has all of these; bytes by what it took."""
    distinct = list({blob.digest: blob for blob in blobs}.values())
    meter = Meter(sum(blob.size for blob in distinct), client.transport.stop)

    def ensured(blob: Descriptor) -> Way:
        known = origins.known(store, client.reference, blob)
        return uploads.ensure(client, blob, store.path(blob.digest), known, meter.add)

    ways = together([partial(ensured, blob) for blob in distinct], meter, progress)
    origins.remember(store, client.reference, distinct)
    moved: Counter[Way] = Counter()
    for blob, way in zip(distinct, ways, strict=True):
        moved[way] += blob.size
    return moved


def _told(moved: Counter[Way]) -> str:
    return ", ".join(
        f"{moved[way] / 1e6:.1f} MB {way.value}"
        for way in (Way.SENT, Way.MOUNTED, Way.THERE)
        if moved[way]
    )
