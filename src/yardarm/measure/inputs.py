"""The evaluation set as a device gets it: the model's inputs, without labels or groups."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from typing import IO, Any, cast

import numpy as np

from yardarm.artifacts import MEDIA_OCTETS, Descriptor
from yardarm.datasets import Dataset
from yardarm.digest import Digest, of_file, of_json
from yardarm.store import Store

EPOCH = (1980, 1, 1, 0, 0, 0)
LEVEL = 1
PIECE = 64
"""Samples held in memory at once."""


def export(dataset: Dataset, names: Sequence[str], store: Store) -> Descriptor:
    """An npz of the arrays `names` in the store; the same data give the same digest.

    Raises:
        InvalidInput: the data set is damaged.
    """
    key = of_json({"step": "inputs/1", "data": of_file(dataset.file), "names": list(names)})
    known = store.step(key)
    if known is not None and store.has(Digest(known["digest"])):
        return Descriptor(MEDIA_OCTETS, Digest(known["digest"]), known["size"])
    with store.writer() as writer:
        with zipfile.ZipFile(cast(IO[bytes], writer), "w", compresslevel=LEVEL) as archive:
            for name in names:
                _member(archive, dataset, name)
        blob = writer.commit(MEDIA_OCTETS)
    store.record_step(key, {"digest": blob.digest, "size": blob.size})
    return blob


def _member(archive: zipfile.ZipFile, dataset: Dataset, name: str) -> None:
    info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    member = dataset.members[name]
    header: dict[str, Any] = {
        "descr": np.lib.format.dtype_to_descr(member.dtype),
        "fortran_order": False,
        "shape": member.shape,
    }
    with archive.open(info, "w", force_zip64=True) as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for batch in dataset.batches(PIECE, [name]):
            stream.write(np.ascontiguousarray(batch[name]).tobytes())
