"""Images pulled from a real registry, into which skopeo has put them."""

from __future__ import annotations

from pathlib import Path

from registry_images import docker_layout, put
from yardarm import registry
from yardarm.events import Advanced
from yardarm.registry import Reference
from yardarm.store import Store


def test_every_blob_arrives_as_it_lies_there(address: str, store: Store, tmp_path: Path) -> None:
    layout = docker_layout(tmp_path / "layout")
    digest = put(layout, f"{address}/plain:1")
    seen: list[object] = []

    pulled = registry.pull(Reference.parse(f"{address}/plain:1"), store, seen.append)

    assert pulled.digest == pulled.manifest.digest == digest
    for blob in (pulled.manifest, pulled.config, *pulled.layers):
        there = (layout / "blobs" / "sha256" / blob.digest[7:]).read_bytes()
        assert store.read(blob.digest) == there
    size = pulled.config.size + sum(layer.size for layer in pulled.layers)
    last = [event for event in seen if isinstance(event, Advanced)][-1]
    assert (last.done, last.total, last.unit) == (last.total, size, "bytes")
    assert not list(store.root.rglob(".partial-*"))
