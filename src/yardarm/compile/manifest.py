"""What a bundle says of itself: what it was made from, how, and how well it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from onnx import ModelProto

import yardarm
from yardarm import metrics
from yardarm.artifacts import Descriptor, Layout
from yardarm.compile import importing
from yardarm.compile.calibrate import Observed
from yardarm.compile.quantize import precisions
from yardarm.compile.ranges import Range
from yardarm.compile.sources import Imported
from yardarm.compile.verify import Verified
from yardarm.datasets import Dataset, Tensor
from yardarm.digest import Digest
from yardarm.profiles import Profile
from yardarm.project import Project

SCHEMA = "yardarm.bundle/1"


@dataclass(frozen=True)
class Sources:
    """What a bundle is made from, and the digests that it carries on."""

    model: Imported
    calibration: Dataset
    evaluation: Dataset
    digests: Mapping[str, Digest]


@dataclass(frozen=True)
class Made:
    """The compiled model, by which rule, and what calibration saw on the way."""

    model: ModelProto
    rule: str | None
    observed: Mapping[str, Observed]
    ranges: Mapping[str, Range]


def manifest(
    project: Project,
    profile: Profile,
    sources: Sources,
    *,
    original: ModelProto,
    made: Made,
    model: Descriptor,
    verified: Verified,
) -> dict[str, Any]:
    """The `manifest.json` of a bundle.

    Args:
        original: the model as it was read; its names and shapes are what users know.
        model: the written file's blob.
    """
    return {
        "schema": SCHEMA,
        "project": project.name,
        "profile": profile.name,
        "target": profile.runtime.target,
        "source": {
            "file": sources.model.name,
            "digest": sources.digests["source"],
            "kind": sources.model.kind,
            "notes": list(sources.model.notes),
            "size": sources.model.size,
            "opset": importing.opset(original),
        },
        "data": {
            "calibration": _data(sources.calibration, sources.digests["calibration"]),
            "evaluation": _data(sources.evaluation, sources.digests["evaluation"]),
        },
        "options": options(project, profile) | {"ranges": made.rule},
        "tools": tools(),
        "model": {
            "digest": model.digest,
            "size": model.size,
            "opset": importing.opset(made.model),
        },
        "accuracy": {
            "metric": project.metric.name,
            "output": verified.output,
            "before": asdict(verified.before),
            "after": asdict(verified.after),
            "drop": asdict(verified.drop),
        },
        "inputs": [_port(tensor) for tensor in importing.inputs(original)],
        "outputs": [_port(tensor) for tensor in importing.outputs(original)],
        "nodes": precisions(made.model),
    }


def _data(dataset: Dataset, digest: Digest) -> dict[str, Any]:
    return {"digest": digest, "samples": dataset.samples}


def _port(tensor: Tensor) -> dict[str, Any]:
    """`shape` as onnxruntime tells it, None where an axis has any length."""
    return {"name": tensor.name, "dtype": str(tensor.dtype), "shape": list(tensor.shape)}


def options(project: Project, profile: Profile) -> dict[str, Any]:
    return {
        **_layout(project.layout),
        "labels": project.data.labels,
        "metric": project.metric.model_dump(mode="json"),
        "metric_source": metrics.digest(project.metric),
        "precision": "int8" if "int8" in profile.runtime.precisions else "fp32",
        "quantization": profile.quantization.model_dump(mode="json"),
    }


def _layout(layout: Layout) -> dict[str, Any]:
    """As the project file names it. The device feeds the model by it."""
    return {
        "batch": layout.batch,
        "constant_inputs": sorted(layout.constant),
        "input_batch_axis": dict(layout.input_axis),
        "output_batch_axis": dict(layout.output_axis),
    }


def tools() -> dict[str, str]:
    return {"yardarm": yardarm.__version__} | {
        name: version(name) for name in ("onnx", "onnxruntime", "numpy")
    }
