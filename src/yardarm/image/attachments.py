"""What is known of an image, attached to it: bill of materials, provenance, signature.

Each is an OCI artifact whose subject is the image's manifest, so that registries list them
as its referrers. With a key both files are signed too, and `ssh-keygen -Y verify` checks
everything; of the image, the line with the digest of its manifest is signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yardarm import signing
from yardarm.artifacts import MEDIA_EMPTY, MEDIA_OCTETS, TITLE, Descriptor, Image
from yardarm.digest import of_json
from yardarm.events import Sink, silent, step
from yardarm.image.inventory import inventory
from yardarm.image.packing import described
from yardarm.image.provenance import PREDICATE, Origin, provenance
from yardarm.image.room import enough_room
from yardarm.image.sbom import sbom
from yardarm.signing import SigningKey
from yardarm.store import Store

NAMESPACE = "yardarm-image"
"""Of the signatures; another one than releases have, so that none passes for the other."""

SBOM = "application/vnd.cyclonedx+json"
PROVENANCE = "application/vnd.in-toto+json"
SIGNATURE = "application/vnd.yardarm.image.signature.v1"

PREFIX = "attachment/"
_RULES = 2
"""Raise it when the same image is to be described in another way."""


@dataclass(frozen=True)
class Attachment:
    """An OCI artifact about an image.

    Attributes:
        kind: its artifact type, SBOM, PROVENANCE or SIGNATURE.
        manifest: as it lies in the store.
        blobs: what the manifest names, the empty config included.
    """

    kind: str
    manifest: Descriptor
    blobs: tuple[Descriptor, ...]


def attach(
    image: Image, origin: Origin, store: Store, *, key: SigningKey | None, sink: Sink = silent
) -> tuple[Attachment, ...]:
    """Describe an image, and sign it where there is a key; in the store, as artifacts.

    An image whose layers were compressed on the way out is another manifest, and has
    attachments of its own. What is there already stays as it is.

    Raises:
        YardarmError: no space left.
    """
    about = [image.digest, image.contents, origin.name, origin.parameters, origin.locked]
    done = of_json(["image/attach", _RULES, *about, key.public if key else None])
    with step(sink, "image/attach", "describe and sign") as progress, enough_room(store.root):
        progress.cached = _whole(store.step(done), store)
        if not progress.cached:
            store.record_step(done, _make(image, origin, store, key))
        found = attached(image, store)
        progress.detail = f"{len(found)} attachments"
    return found


def attached(image: Image, store: Store) -> tuple[Attachment, ...]:
    """The image's attachments that are in the store."""
    found = (store.resolve(name) for name in store.references(_name(image, "")))
    return tuple(_load(manifest, store) for manifest in found if manifest)


def read(kind: str, image: Image, store: Store) -> bytes | None:
    """The file that an image's attachment of a kind is about; None without one."""
    for each in attached(image, store):
        if each.kind == kind:
            return store.read(each.blobs[1].digest)
    return None


def line(image: Image) -> bytes:
    """What is signed of an image: the digest of its manifest, and a newline."""
    return f"{image.digest}\n".encode()


def _name(image: Image, what: str) -> str:
    return f"{PREFIX}{image.digest.removeprefix('sha256:')}/{what}"


def _whole(recorded: Mapping[str, str] | None, store: Store) -> bool:
    """Whether what was made then is what its names stand for now."""
    found = {name: store.resolve(name) for name in recorded or {}}
    return bool(found) and all(
        manifest and manifest.digest == (recorded or {})[name] and store.has(manifest.digest)
        for name, manifest in found.items()
    )


def _make(image: Image, origin: Origin, store: Store, key: SigningKey | None) -> dict[str, str]:
    """Name to manifest of everything that is attached."""
    found = inventory(image.layers, store)
    bill = sbom(image, found, name=origin.name, pinned=origin.pinned, source=origin.source)
    statement = provenance(image, found, origin)
    kinds = {
        "sbom": (SBOM, _files("sbom.cdx.json", SBOM, bill, store, key), {}),
        "provenance": (
            PROVENANCE,
            _files("provenance.intoto.json", PROVENANCE, statement, store, key),
            {"in-toto.io/predicate-type": PREDICATE},
        ),
    }
    if key:
        signature = signing.sign(key, line(image), NAMESPACE)
        files = [store.put(signature, MEDIA_OCTETS, {TITLE: "image.sig"})]
        kinds["signature"] = (SIGNATURE, files, {"yardarm.key": key.public})
    subject, empty = described(image, store), store.put(b"{}", MEDIA_EMPTY)
    return {
        _name(image, what): store.put_manifest(
            config=empty,
            layers=files,
            artifact_type=kind,
            annotations=annotations,
            reference=_name(image, what),
            subject=subject,
        ).digest
        for what, (kind, files, annotations) in kinds.items()
    }


def _files(
    name: str, media_type: str, data: bytes, store: Store, key: SigningKey | None
) -> list[Descriptor]:
    """A file and, with a key, its signature."""
    found = [store.put(data, media_type, {TITLE: name})]
    if key:
        signature = signing.sign(key, data, NAMESPACE)
        found.append(store.put(signature, MEDIA_OCTETS, {TITLE: f"{name}.sig"}))
    return found


def _load(manifest: Descriptor, store: Store) -> Attachment:
    body = store.read_json(manifest.digest)
    parts = map(Descriptor.from_oci, (body["config"], *body["layers"]))
    return Attachment(str(body["artifactType"]), manifest, tuple(parts))
