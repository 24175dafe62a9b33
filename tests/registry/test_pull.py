"""Images pulled from a real registry, into which skopeo has put them."""

from __future__ import annotations

from pathlib import Path

from registry_images import docker_layout, put
from yardarm import registry
from yardarm.artifacts import MEDIA_MANIFEST
from yardarm.digest import canonical_json
from yardarm.events import Advanced
from yardarm.registry import Reference, manifests
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


def test_without_layers_only_manifest_and_config_come(
    address: str, store: Store, tmp_path: Path
) -> None:
    put(docker_layout(tmp_path / "layout"), f"{address}/light:1")

    pulled = registry.pull(Reference.parse(f"{address}/light:1"), store, layers=False)

    assert store.has(pulled.config.digest) and store.has(pulled.manifest.digest)
    assert len(pulled.layers) == 1
    assert not store.has(pulled.layers[0].digest)


def test_every_arm64_is_the_eighth() -> None:
    def entry(digit: str, variant: str | None) -> dict[str, object]:
        platform = {"os": "linux", "architecture": "arm64"}
        return {
            **{"mediaType": MEDIA_MANIFEST, "digest": "sha256:" + digit * 64, "size": 1},
            "platform": platform | ({"variant": variant} if variant else {}),
        }

    def chosen(*entries: dict[str, object]) -> str:
        body = {"mediaType": manifests.MEDIA_INDEX, "manifests": entries}
        index = manifests.read(canonical_json(body), "", "here")
        return manifests.choose(index, "linux/arm64", "here").digest[7:8]

    assert chosen(entry("1", "v9"), entry("2", "v8")) == "2"
    assert chosen(entry("1", "v9"), entry("2", None)) == "2"
