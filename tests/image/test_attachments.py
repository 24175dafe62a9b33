"""What is attached to an image: told by OCI's rules, signed so that ssh-keygen agrees."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from yardarm import profiles, signing
from yardarm.artifacts import MEDIA_CONFIG, MEDIA_LAYER, MEDIA_MANIFEST, TITLE, Descriptor, Image
from yardarm.digest import Digest, of_bytes
from yardarm.errors import YardarmError
from yardarm.image import Spec, assemble, entries, layer, layers
from yardarm.image.attachments import (
    NAMESPACE,
    PROVENANCE,
    SBOM,
    SIGNATURE,
    Attachment,
    attach,
    attached,
    line,
    read,
)
from yardarm.image.packing import MEDIA_GZIP, packed
from yardarm.image.provenance import Origin
from yardarm.lockfile import Lock, Pinned, Wheels
from yardarm.signing import SigningKey
from yardarm.store import Store

BASE = "registry.example:5000/team/base:1"
LOCK = Lock(
    {BASE: of_bytes(b"base")},
    {
        "cp311-aarch64-manylinux_2_36": Wheels(
            ("numpy",), (Pinned("numpy", "2.4", "numpy-2.4-cp311.whl", "cd" * 32, 9),)
        )
    },
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def small(store: Store) -> Image:
    """An image of one small layer."""
    blob = layer.store_layer([entries.file("etc/os-release", b"x" * 100_000)], store)
    config = store.put(b"{}", MEDIA_CONFIG)
    manifest = store.put_manifest(
        config=config, layers=[blob], annotations={"yardarm.contents": "{}"}
    )
    return Image(manifest.digest, config, (blob,), {"yardarm_runtime": "1.0"})


@pytest.fixture
def made_of(tmp_path: Path) -> Origin:
    spec = Spec(base=BASE, source=(tmp_path / "app",), requirements=("numpy",))
    return Origin("angle", spec, profiles.load("raspberry-pi-5"), LOCK, of_bytes(b"app"))


def files(found: Attachment, store: Store) -> dict[str, bytes]:
    return {blob.annotations[TITLE]: store.read(blob.digest) for blob in found.blobs[1:]}


def verified(key: SigningKey, signature: bytes, message: bytes, folder: Path) -> bool:
    """Whether ssh-keygen takes the signature."""
    (folder / "signers").write_text(f"us {key.public}\n")
    (folder / "signature").write_bytes(signature)
    done = subprocess.run(
        [
            *("ssh-keygen", "-Y", "verify", "-f", folder / "signers", "-I", "us"),
            *("-n", NAMESPACE, "-s", folder / "signature"),
        ],
        input=message,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode == 0


def test_each_is_an_artifact_about_the_image(
    small: Image, store: Store, made_of: Origin, key: SigningKey
) -> None:
    found = attach(small, made_of, store, key=key)

    assert [each.kind for each in found] == [PROVENANCE, SBOM, SIGNATURE]
    for each in found:
        body = store.read_json(each.manifest.digest)
        assert body["artifactType"] == each.kind
        assert body["subject"] == {
            "mediaType": MEDIA_MANIFEST,
            "digest": small.digest,
            "size": store.path(small.digest).stat().st_size,
        }
        assert [body["config"], *body["layers"]] == [blob.to_oci() for blob in each.blobs]
    assert attached(small, store) == found


def test_ssh_keygen_verifies_image_and_files(
    small: Image, store: Store, made_of: Origin, key: SigningKey, tmp_path: Path
) -> None:
    provenance, bill, signature = attach(small, made_of, store, key=key)

    (image_signature,) = files(signature, store).values()
    assert verified(key, image_signature, f"{small.digest}\n".encode(), tmp_path)
    assert not verified(key, image_signature, f"{of_bytes(b'')}\n".encode(), tmp_path)
    for each in (provenance, bill):
        (name, data), (signed, signature_of_it) = sorted(files(each, store).items())
        assert signed == f"{name}.sig"
        assert verified(key, signature_of_it, data, tmp_path)


def test_a_signature_of_a_release_is_none_of_an_image(
    small: Image, key: SigningKey, tmp_path: Path
) -> None:
    assert not verified(key, signing.sign(key, line(small)), line(small), tmp_path)


def test_without_a_key_nothing_is_signed(small: Image, store: Store, made_of: Origin) -> None:
    found = attach(small, made_of, store, key=None)

    assert [each.kind for each in found] == [PROVENANCE, SBOM]
    assert [len(each.blobs) for each in found] == [2, 2]


def test_attaching_again_does_nothing(
    small: Image, store: Store, made_of: Origin, key: SigningKey
) -> None:
    first = attach(small, made_of, store, key=key)
    before = {file: file.stat().st_mtime_ns for file in store.root.rglob("*")}

    assert attach(small, made_of, store, key=key) == first

    changed = {file for file in store.root.rglob("*") if file.stat().st_mtime_ns != before[file]}
    assert changed == set()


def test_what_was_asked_for_since_then_counts(small: Image, store: Store, made_of: Origin) -> None:
    """The same image for another device class, and back."""
    other = Origin("angle", made_of.spec, profiles.load("raspberry-pi-4b"), LOCK)
    first = attach(small, made_of, store, key=None)

    assert attach(small, other, store, key=None) != first
    assert attach(small, made_of, store, key=None) == first


def statement(small: Image, store: Store, made_of: Origin) -> Any:
    attach(small, made_of, store, key=None)
    return json.loads(read(PROVENANCE, small, store) or b"")


def test_provenance_says_what_went_in(small: Image, store: Store, made_of: Origin) -> None:
    body = statement(small, store, made_of)

    assert body["_type"] == "https://in-toto.io/Statement/v1"
    assert body["predicateType"] == "https://slsa.dev/provenance/v1"
    hexadecimal = small.digest.removeprefix("sha256:")
    assert body["subject"] == [{"name": "angle", "digest": {"sha256": hexadecimal}}]
    build = body["predicate"]["buildDefinition"]
    assert build["externalParameters"]["profile"] == "raspberry-pi-5"
    assert build["externalParameters"]["spec"]["source"] == ["app"]
    assert build["internalParameters"]["lock"] == made_of.locked
    assert build["resolvedDependencies"] == [
        {
            "uri": "pkg:oci/base",
            "digest": {"sha256": of_bytes(b"base").removeprefix("sha256:")},
        },
        {
            "name": "application",
            "digest": {"sha256": of_bytes(b"app").removeprefix("sha256:")},
        },
        {
            "uri": "pkg:pypi/numpy@2.4",
            "name": "numpy-2.4-cp311.whl",
            "digest": {"sha256": "cd" * 32},
        },
    ]
    assert body["predicate"]["runDetails"]["builder"]["version"] == {"yardarm": "1.0"}


@pytest.mark.parametrize("base", [BASE, "oci:/home/me/base:1", "archive:/home/me/base.tar"])
def test_provenance_does_not_say_where(
    small: Image, store: Store, made_of: Origin, tmp_path: Path, base: str
) -> None:
    spec = Spec(base=base, source=made_of.spec.source)

    body = json.dumps(statement(small, store, Origin("angle", spec, made_of.profile, LOCK)))

    for secret in ("registry.example", "/home", str(tmp_path)):
        assert secret not in body


def test_packing_keeps_the_config_and_what_is_compressed(small: Image, store: Store) -> None:
    foreign = store.put(b"as it came", MEDIA_GZIP)
    both = Image(small.digest, small.config, (foreign, *small.layers), small.contents)

    out = packed(both, store)

    assert out.config == small.config
    assert out.layers[0] == foreign
    assert out.layers[1].media_type == MEDIA_GZIP
    assert out.layers[1].size < small.layers[0].size / 10
    assert store.read_json(out.digest)["annotations"] == {"yardarm.contents": "{}"}
    assert small.layers[0].media_type == MEDIA_LAYER


def test_packing_bears_no_time_and_is_done_once(small: Image, store: Store) -> None:
    first = packed(small, store)
    header = store.read(first.layers[0].digest)[:10]
    written = store.path(first.layers[0].digest).stat().st_mtime_ns

    assert packed(small, store) == first
    assert header[4:8] == bytes(4)
    assert store.path(first.layers[0].digest).stat().st_mtime_ns == written


def test_a_lost_blob_is_packed_again(small: Image, store: Store) -> None:
    first = packed(small, store)
    store.path(Digest(first.layers[0].digest)).unlink()

    assert packed(small, store) == first
    assert store.has(first.layers[0].digest)


def test_descriptors_are_of_what_lies_there(
    small: Image, store: Store, made_of: Origin, key: SigningKey
) -> None:
    for each in attach(small, made_of, store, key=key):
        blobs: tuple[Descriptor, ...] = (each.manifest, *each.blobs)
        assert [len(store.read(blob.digest)) for blob in blobs] == [blob.size for blob in blobs]


@pytest.mark.root
def test_annotations_name_lock_and_source(
    composed: Image, origin: Origin, shared_store: Store
) -> None:
    told = shared_store.read_json(composed.digest)["annotations"]

    assert told["yardarm.lock"] == origin.locked
    assert "yardarm.source" not in told


@pytest.mark.root
def test_the_application_is_named_by_what_is_in_it(
    lock: Lock, pi5: profiles.Profile, shared_store: Store, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text("print('there')")
    spec = Spec(source=(tmp_path / "main.py",))

    made = layers(spec, pi5, shared_store, lock=lock)
    image = assemble(made, shared_store)

    told = shared_store.read_json(image.digest)["annotations"]
    (source,) = [part.blob.digest for part in made.parts if part.name == "application"]
    assert told["yardarm.source"] == source


@pytest.mark.root
def test_a_full_disk_while_packing_leaves_nothing_half(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", place], check=True)
    try:
        store = Store(place / "store")
        blob = store.put(random.Random(1).randbytes(120_000), MEDIA_LAYER)
        config = store.put(b"{}", MEDIA_CONFIG)
        manifest = store.put_manifest(config=config, layers=[blob])
        before = sorted(file.name for file in (place / "store").rglob("*"))

        with pytest.raises(YardarmError, match="no space left"):
            packed(Image(manifest.digest, config, (blob,), {}), store)

        assert sorted(file.name for file in (place / "store").rglob("*")) == before
    finally:
        subprocess.run(["umount", place], check=True)
