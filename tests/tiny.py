"""A bundle too small to be of use: y = x · w, [N, 3] to [N, 2], with golden inputs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from yardarm.artifacts import MEDIA_BUNDLE, MEDIA_EMPTY, MEDIA_OCTETS, TITLE, Bundle
from yardarm.digest import canonical_json
from yardarm.store import Store

OUTPUT = "answer"
INPUT = "x"


def model(scale: float = 1.0) -> bytes:
    weights = numpy_helper.from_array(scale * np.eye(3, 2, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", [INPUT, "w"], [OUTPUT])],
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", 2])],
        [weights],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data: bytes = onnx.ModelProto.SerializeToString(made)
    return data


def golden(scale: float = 1.0) -> bytes:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays = {
        f"input/{INPUT}": x,
        f"output/{OUTPUT}": scale * x[:, :2],
        f"tolerance/{OUTPUT}": np.array([1e-5, 1e-5]),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def bundle(store: Store, scale: float = 1.0, answers: float | None = None) -> Bundle:
    """A bundle in the store; with `answers` its golden outputs are those of another scale."""
    manifest: Mapping[str, Any] = {
        "schema": "yardarm.bundle/1",
        "inputs": [{"name": INPUT, "dtype": "float32", "shape": [None, 3]}],
        "outputs": [{"name": OUTPUT, "dtype": "float32", "shape": [None, 2]}],
        "scale": scale,
    }
    files = {
        "model.onnx": model(scale),
        "manifest.json": canonical_json(manifest),
        "statistics.json": b"{}",
        "golden.npz": golden(scale if answers is None else answers),
    }
    blobs = {name: store.put(data, MEDIA_OCTETS, {TITLE: name}) for name, data in files.items()}
    made = store.put_manifest(
        config=store.put(b"{}", MEDIA_EMPTY),
        layers=list(blobs.values()),
        artifact_type=MEDIA_BUNDLE,
    )
    return Bundle(made.digest, manifest, blobs)
