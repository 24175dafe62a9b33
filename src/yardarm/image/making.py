"""Layers taken from the store by the digest of their inputs, or made and recorded there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from yardarm.artifacts import Descriptor
from yardarm.digest import Digest
from yardarm.events import Sink, step
from yardarm.image.layer import Layer
from yardarm.store import Store


@dataclass(frozen=True)
class Maker:
    """Where layers are kept, and who is told."""

    store: Store
    sink: Sink

    def layer(self, name: str, key: Digest, make: Callable[[], Mapping[str, Any]]) -> Layer:
        with step(self.sink, f"image/{name}", f"{name} layer") as progress:
            record = self.store.step(key)
            there = record is not None and self.store.has(Digest(record["blob"]["digest"]))
            progress.cached = there
            if record is None or not there:
                record = make()
                self.store.record_step(key, record)
            blob = Descriptor.from_oci(record["blob"])
            progress.detail = f"{blob.size / 1e6:.1f} MB, {len(record['contents'])} packages"
        return Layer(
            name,
            blob,
            record["contents"],
            progress.cached,
            weights=record.get("weights", {}),
            left_out=record.get("left_out", {}),
            warnings=tuple(record.get("warnings", ())),
        )
