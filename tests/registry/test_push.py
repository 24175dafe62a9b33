"""Images pushed to a real registry, and read there by skopeo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry_images import image, skopeo
from yardarm import registry
from yardarm.artifacts import MEDIA_MANIFEST, Image
from yardarm.digest import canonical_json
from yardarm.errors import InvalidInput, VerificationFailed
from yardarm.image.packing import packed
from yardarm.registry import Reference, indexes, manifests, origins, uploads
from yardarm.registry.client import Client
from yardarm.store import Store


def there(name: str, *options: str) -> object:
    return json.loads(
        skopeo("inspect", "--raw", "--tls-verify=false", *options, f"docker://{name}")
    )


def size(found: Image) -> int:
    return found.config.size + sum(layer.size for layer in found.layers)


def test_skopeo_copies_what_was_pushed(address: str, store: Store, tmp_path: Path) -> None:
    made = image(store, 1, 2)
    out = packed(made, store)
    name = f"{address}/pushed/app:1"

    done = registry.push(out, store, Reference.parse(name))

    assert (done.digest, done.sent, done.mounted, done.there) == (out.digest, size(out), 0, 0)
    target = tmp_path / "copy"
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{target}:x")
    for blob in (out.config, *out.layers):
        copied = target / "blobs" / "sha256" / blob.digest[7:]
        assert copied.read_bytes() == store.read(blob.digest)
    assert json.loads(store.read(made.config.digest)) == json.loads(
        skopeo("inspect", "--config", "--raw", "--tls-verify=false", f"docker://{name}")
    )


def test_a_second_push_sends_nothing(address: str, store: Store) -> None:
    made, name = image(store, 3, 4), Reference.parse(f"{address}/again:1")
    registry.push(made, store, name)

    done = registry.push(made, store, Reference.parse(f"{address}/again:2"))

    assert (done.sent, done.mounted, done.there) == (0, 0, size(made))


def test_only_a_changed_layer_is_sent(address: str, store: Store) -> None:
    registry.push(image(store, 5, 6), store, Reference.parse(f"{address}/changed:1"))
    made = image(store, 5, 7)

    done = registry.push(made, store, Reference.parse(f"{address}/changed:2"))

    assert (done.sent, done.there) == (made.config.size + made.layers[1].size, made.layers[0].size)


def test_blobs_are_mounted_from_another_repository(address: str, store: Store) -> None:
    made = image(store, 8, 9)
    registry.push(made, store, Reference.parse(f"{address}/first:1"))

    done = registry.push(made, store, Reference.parse(f"{address}/second:1"))

    assert (done.sent, done.mounted, done.there) == (0, size(made), 0)


def test_a_large_blob_goes_in_chunks(
    address: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "CHUNK", 30_000)
    made = image(store, 10)
    name = f"{address}/chunks:1"

    done = registry.push(made, store, Reference.parse(name))

    assert done.sent == size(made)
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
    assert seen["Layers"] == [made.layers[0].digest]


def test_what_was_pushed_is_pulled(address: str, store: Store, tmp_path: Path) -> None:
    made = packed(image(store, 11, 12), store)
    name = Reference.parse(f"{address}/back:1")
    registry.push(made, store, name)

    pulled = registry.pull(name, Store(tmp_path / "other"))

    assert (pulled.digest, pulled.config, pulled.layers) == (made.digest, made.config, made.layers)


def test_an_index_keeps_the_other_platforms(address: str, store: Store, tmp_path: Path) -> None:
    name = f"{address}/several:1"
    first, other = image(store, 13), image(store, 14, architecture="amd64")
    registry.push(first, store, Reference.parse(name))  # a lone image, which becomes an entry

    registry.push(other, store, Reference.parse(name), index=True)
    newer = image(store, 15)
    done = registry.push(newer, store, Reference.parse(name), index=True)

    found = there(name)
    assert isinstance(found, dict)
    listed = {item["platform"]["architecture"]: item["digest"] for item in found["manifests"]}
    assert listed == {"amd64": other.digest, "arm64": newer.digest}
    assert registry.resolve(Reference.parse(name)) == done.digest
    options = ("--override-arch", "amd64")
    seen = json.loads(skopeo("inspect", "--tls-verify=false", *options, f"docker://{name}"))
    assert seen["Layers"] == [other.layers[0].digest]
    pulled = registry.pull(Reference.parse(name), Store(tmp_path / "other"))
    assert (pulled.digest, pulled.manifest.digest) == (done.digest, newer.digest)


def test_what_speaks_of_a_replaced_image_goes_with_it(address: str) -> None:
    def entry(digit: str, architecture: str, speaks_of: str = "") -> dict[str, Any]:
        return {
            **{"mediaType": MEDIA_MANIFEST, "digest": "sha256:" + digit * 64, "size": 1},
            "platform": {"os": "linux", "architecture": architecture},
            "annotations": {"vnd.docker.reference.digest": "sha256:" + speaks_of * 64},
        }

    kept = [entry("1", "amd64"), entry("2", "unknown", "1")]
    gone = [entry("3", "arm64"), entry("4", "unknown", "3")]
    body = {"mediaType": manifests.MEDIA_INDEX, "manifests": [*gone, *kept]}
    there = manifests.read(canonical_json(body), "", "here")
    with Client(Reference.parse(f"{address}/x")) as client:
        assert indexes.others(client, there, entry("5", "arm64")) == kept


def test_no_image_is_pushed_to_a_digest(address: str, store: Store) -> None:
    made = image(store, 16)
    name = Reference.parse(f"{address}/app").pinned(made.digest)
    with pytest.raises(InvalidInput, match="to a tag"):
        registry.push(made, store, name)


def test_a_damaged_blob_is_not_taken(address: str, store: Store) -> None:
    made = image(store, 17)
    file = store.path(made.layers[0].digest)
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(VerificationFailed, match="not the blob that its digest names"):
        registry.push(made, store, Reference.parse(f"{address}/damaged:1"))


def test_a_base_that_is_not_in_the_store_is_mounted(address: str, store: Store) -> None:
    made, base = image(store, 18, 19), Reference.parse(f"{address}/base:1")
    registry.push(made, store, base)
    origins.remember(store, base, made.layers)
    store.path(made.layers[0].digest).unlink()

    done = registry.push(made, store, Reference.parse(f"{address}/upon:1"))

    assert done.mounted == size(made)


def test_a_blob_that_is_nowhere_is_named(address: str, store: Store) -> None:
    made = image(store, 20)
    store.path(made.layers[0].digest).unlink()
    with pytest.raises(InvalidInput, match="neither in the store") as caught:
        registry.push(made, store, Reference.parse(f"{address}/nowhere:1"))
    assert made.layers[0].digest in caught.value.where
