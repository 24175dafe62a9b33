"""A bundle: model, manifest, statistics and golden inputs as an OCI artifact.

Its bytes follow from its inputs alone: no times, no paths, no order that could vary.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm.artifacts import (
    MEDIA_BUNDLE,
    MEDIA_EMPTY,
    MEDIA_JSON,
    MEDIA_OCTETS,
    TITLE,
    Bundle,
    Descriptor,
)
from yardarm.digest import Digest, canonical_json
from yardarm.store import Store

MODEL, MANIFEST, STATISTICS, GOLDEN = "model.onnx", "manifest.json", "statistics.json", "golden.npz"


def serialised(model: ModelProto, original: ModelProto) -> bytes:
    """The file's bytes. Documentation and metadata are the original's, not the writer's."""
    tidy = ModelProto()
    tidy.CopyFrom(model)
    tidy.producer_name, tidy.producer_version = original.producer_name, original.producer_version
    tidy.doc_string, tidy.domain = original.doc_string, original.domain
    tidy.model_version = original.model_version
    del tidy.metadata_props[:]
    tidy.metadata_props.extend(original.metadata_props)
    data: bytes = tidy.SerializeToString(deterministic=True)
    return data


def put(
    store: Store,
    model: Descriptor,
    manifest: Mapping[str, Any],
    statistics: Mapping[str, Any],
    golden: Mapping[str, NDArray[np.generic]],
) -> Bundle:
    """Store the parts around a model that is stored already. Names nothing."""
    blobs = {
        MODEL: model,
        MANIFEST: store.put(canonical_json(manifest), MEDIA_JSON, {TITLE: MANIFEST}),
        STATISTICS: store.put(canonical_json(statistics), MEDIA_JSON, {TITLE: STATISTICS}),
        GOLDEN: store.put(_npz(golden), MEDIA_OCTETS, {TITLE: GOLDEN}),
    }
    return Bundle(_artifact(store, blobs).digest, dict(manifest), blobs)


def name(store: Store, bundle: Bundle, reference: str) -> None:
    """Let `reference` mean this bundle from now on."""
    _artifact(store, bundle.blobs, reference)


def load(store: Store, digest: Digest) -> Bundle | None:
    """A bundle of the store; None where a part of it is gone.

    Raises:
        VerificationFailed: a manifest is damaged.
    """
    if not store.has(digest):
        return None
    layers = [Descriptor.from_oci(layer) for layer in store.read_json(digest)["layers"]]
    blobs = {layer.annotations[TITLE]: layer for layer in layers}
    if not all(store.has(blob.digest) for blob in blobs.values()):
        return None
    return Bundle(digest, store.read_json(blobs[MANIFEST].digest), blobs)


def export(store: Store, bundle: Bundle, folder: Path) -> None:
    """Write the bundle's files into an existing folder.

    Raises:
        VerificationFailed: a blob is missing or damaged.
    """
    for title, blob in bundle.blobs.items():
        (folder / title).write_bytes(store.read(blob.digest))


def _artifact(
    store: Store, blobs: Mapping[str, Descriptor], reference: str | None = None
) -> Descriptor:
    return store.put_manifest(
        config=store.put(b"{}", MEDIA_EMPTY),
        layers=list(blobs.values()),
        artifact_type=MEDIA_BUNDLE,
        reference=reference,
    )


def _npz(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **dict(arrays))
    return stream.getvalue()
