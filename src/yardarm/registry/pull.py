"""An image from a registry into the store, byte for byte as it came."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from yardarm.artifacts import Descriptor
from yardarm.digest import Digest, short
from yardarm.errors import InvalidInput, Unsupported, VerificationFailed
from yardarm.events import Sink, silent, step
from yardarm.registry import blobs, manifests, origins
from yardarm.registry.client import Client
from yardarm.registry.manifests import Manifest
from yardarm.registry.parallel import Meter, together
from yardarm.registry.reference import Reference
from yardarm.store import Store

CONFIG_LIMIT = 8 << 20  # bytes


@dataclass(frozen=True)
class Pulled:
    """An image that is in the store.

    Attributes:
        digest: what to pin: of the index where the tag names one, else of the manifest.
        layers: lowest first, compressed as they came.
    """

    digest: Digest
    manifest: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]


def pull(
    reference: Reference,
    store: Store,
    sink: Sink = silent,
    *,
    platform: str = "linux/arm64",
    digest: Digest | None = None,
    layers: bool = True,
    plain_http: bool = False,
) -> Pulled:
    """Bring an image into the store. What is there already is not asked for: with a digest, and
    everything there, the network is not needed.

    Args:
        digest: pins the content, whatever the tag names now; the reference may bring one, too.
        layers: bring them, too, not only manifest and config.

    Raises:
        Unreachable: the registry is down, cuts connections or asks to wait too long.
        InvalidInput: no such image, no right to it, or a damaged manifest.
        VerificationFailed: a digest or size is not what it should be, or a certificate.
        Unsupported: not for the platform, or not an image.
    """
    named = reference.pinned(digest) if digest else reference
    with (
        step(sink, f"registry/{reference.repository}", "pull image") as progress,
        Client(named, sink, plain_http=plain_http) as client,
    ):
        top = _manifest(client, named.name, store)
        where, manifest = str(named), top
        if top.is_index:
            manifest = _manifest(client, manifests.choose(top, platform, where).digest, store)
        if manifest.is_index:
            raise Unsupported("an index within an index", where=where)
        manifests.expect_distributed(manifest.layers, where)
        wanted = {layer.digest: layer for layer in manifest.layers if layers}
        total = manifest.config.size + sum(layer.size for layer in wanted.values())
        meter = Meter(total, client.transport.stop)
        _config(client, manifest.config, platform, store, meter)
        tasks = [_task(client, layer, store, meter) for layer in wanted.values()]
        fetched = sum(together(tasks, meter, progress))
        origins.remember(store, reference, [manifest.config, *manifest.layers])
        progress.cached = fetched == 0
        progress.detail = f"{short(top.blob.digest)}, {fetched / 1e6:.1f} MB fetched"
    return Pulled(top.blob.digest, manifest.blob, manifest.config, manifest.layers)


def resolve(reference: Reference, sink: Sink = silent, *, plain_http: bool = False) -> Digest:
    """The digest that a reference names now. Raises as `pull` does."""
    with Client(reference, sink, plain_http=plain_http) as client:
        return client.manifest(reference.name).blob.digest


def _manifest(client: Client, name: str, store: Store) -> Manifest:
    """From the store where a digest is asked for that is there, else from the registry."""
    digest = manifests.digest_of(name)
    if digest and store.has(digest):
        return manifests.read(store.read(digest), "", name)
    found = client.manifest(name)
    store.put(found.data, found.blob.media_type)
    return found


def _task(client: Client, blob: Descriptor, store: Store, meter: Meter) -> Callable[[], int]:
    def task() -> int:
        """Bytes that had to be fetched."""
        if store.has(blob.digest) and store.path(blob.digest).stat().st_size == blob.size:
            meter.add(blob.size)
            return 0
        blobs.fetch(client, blob, store, meter.add)
        return blob.size

    return task


def _config(client: Client, config: Descriptor, platform: str, store: Store, meter: Meter) -> None:
    """The config, first of all: it says for what the image is."""
    where = str(client.reference)
    if config.size > CONFIG_LIMIT:
        raise InvalidInput(f"the config is larger than {CONFIG_LIMIT >> 20} MiB", where=where)
    _task(client, config, store, meter)()
    try:
        body = json.loads(store.read(config.digest))
        found = {key: body.get(key) for key in ("os", "architecture", "variant")}
    except (ValueError, AttributeError):
        raise VerificationFailed("the image's config is no JSON object", where=where) from None
    if not manifests.fits(found, platform):
        there = manifests.name(found) or "no platform that it names"
        raise Unsupported(f"the image is for {there}, not {platform}", where=where)
