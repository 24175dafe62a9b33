"""The evaluation set as a device gets it: the model's inputs, without labels or groups."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from yardarm.artifacts import MEDIA_OCTETS, Descriptor
from yardarm.datasets import Dataset
from yardarm.digest import Digest, of_json
from yardarm.store import Store
from yardarm_wire.arrays import SHAPES

EPOCH = (1980, 1, 1, 0, 0, 0)
LEVEL = 1
PIECE = 64
"""Samples held in memory at once."""


def export(dataset: Dataset, names: Sequence[str], store: Store) -> Descriptor:
    """An npz of the arrays `names` in the store; the same data give the same digest.

    Samples that differ in shape are written as `SHAPES` says, constant arrays whole.

    Raises:
        InvalidInput: the data set is damaged.
    """
    key = of_json(
        {
            "step": "inputs/2",
            "data": dataset.digest(),
            "names": list(names),
            "constant": sorted(dataset.layout.constant & set(names)),
        }
    )
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
    member = dataset.members[name]
    if None in member.shape:
        shapes = _shapes(dataset, name)
        with _entry(archive, SHAPES + name, shapes.dtype, shapes.shape) as stream:
            stream.write(shapes.tobytes())
        whole: tuple[int, ...] = (int(shapes.prod(axis=1).sum()),)
    else:
        whole = tuple(axis or 0 for axis in member.shape)
    with _entry(archive, name, member.dtype, whole) as stream:
        if name in dataset.layout.constant:
            stream.write(dataset.read(name).tobytes())
            return
        for batch in dataset.batches(PIECE, [name]):
            for sample in batch[name]:
                stream.write(np.ascontiguousarray(sample).tobytes())


def _shapes(dataset: Dataset, name: str) -> NDArray[np.int64]:
    batches = dataset.batches(PIECE, [name])
    return np.array([np.shape(item) for batch in batches for item in batch[name]], np.int64)


def _entry(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]
) -> IO[bytes]:
    """An array's place in the archive, its header written."""
    info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    header: dict[str, Any] = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    stream = archive.open(info, "w", force_zip64=True)
    np.lib.format.write_array_header_1_0(stream, header)
    return stream
