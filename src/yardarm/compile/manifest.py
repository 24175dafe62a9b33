"""What a bundle says of itself: what it was made from, how, and how well it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

import yardarm
from yardarm import metrics
from yardarm.artifacts import Descriptor
from yardarm.compile.quantization.forms import Form
from yardarm.compile.quantization.names import Names
from yardarm.compile.quantization.plan import Plan
from yardarm.compile.quantization.quantize import placed
from yardarm.compile.searching.budget import aim
from yardarm.compile.searching.scoring import Scored, Scorer
from yardarm.compile.searching.search import Found
from yardarm.compile.searching.walk import Candidate
from yardarm.compile.sources import importing, operators
from yardarm.compile.sources.opening import Imported
from yardarm.datasets import Dataset, Tensor
from yardarm.digest import Digest
from yardarm.metrics import GroupScore
from yardarm.profiles import Profile
from yardarm.project import BudgetSection, Project

SCHEMA = "yardarm.bundle/1"
MEASURED = (
    "with onnxruntime on the host: int8 and float16 are rounded as in TensorRT, sums are float32"
)
COSTS = "a model of multiplications, bytes and conversions, not a measurement"


@dataclass(frozen=True)
class Sources:
    """What a bundle is made from, and the digests that it carries on."""

    model: Imported
    calibration: Dataset
    evaluation: Dataset
    digests: Mapping[str, Digest]


def manifest(
    project: Project,
    profile: Profile,
    sources: Sources,
    *,
    original: ModelProto,
    prepared: ModelProto,
    model: Descriptor,
    scorer: Scorer,
    found: Found,
    scored: Scored,
    tensorrt: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The `manifest.json` of a bundle.

    Args:
        original: the model as it was read; its names and shapes are what users know.
        prepared: the normalised model, whose nodes the forms are for.
        model: the written file's blob.
        scored: what it answers.
        tensorrt: what the device is told when it builds the engine, where it has to.
    """
    chosen = found.chosen
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
        "options": options(project, profile) | {"ranges": found.rule, "repairs": found.repairs},
        "tools": tools() | ({"torch": version("torch")} if sources.model.kind == "torch" else {}),
        "model": {
            "digest": model.digest,
            "size": model.size,
            "opset": importing.opset(prepared),
        },
        "accuracy": _accuracy(scorer, scored) | ({"measured": MEASURED} if tensorrt else {}),
        "budget": asdict(chosen.verdict),
        "search": _search(found, project.budget),
        "sensitivity": _sensitivity(found, prepared),
        "inputs": [_port(tensor) for tensor in importing.inputs(original)],
        "outputs": [_port(tensor) for tensor in importing.outputs(original)],
        "nodes": _nodes(prepared, chosen.plan),
        "control_flow": operators.control_flow(prepared),
        "names": _names(chosen.names),
    } | ({"tensorrt": dict(tensorrt)} if tensorrt else {})


def _accuracy(scorer: Scorer, scored: Scored) -> dict[str, Any]:
    compared = scored.comparison
    told = {
        "metric": scorer.metric.name,
        "output": scorer.output,
        "before": asdict(compared.before),
        "after": asdict(compared.after),
        "drop": asdict(compared.drop),
    }
    groups = [_group(group) for group in scorer.by_group(scored)]
    return told | ({"groups": groups} if groups else {})


def _group(group: GroupScore) -> dict[str, Any]:
    estimates = {"before": group.before, "after": group.after, "drop": group.drop}
    told = {name: asdict(estimate) for name, estimate in estimates.items()}
    return {"group": group.group, "samples": group.before.samples} | told


def _search(found: Found, budget: BudgetSection) -> dict[str, Any]:
    best = _pareto(found.candidates)
    return {
        "aim": {"max_drop": aim(budget), "given": budget.max_drop is not None},
        "costs": COSTS,
        "candidates": [_candidate(each, each.name in best) for each in _ordered(found)],
        "chosen": found.chosen.name,
    }


def _ordered(found: Found) -> list[Candidate]:
    return sorted(found.candidates, key=lambda each: (each.cost, each.name))


def _candidate(candidate: Candidate, best: bool) -> dict[str, Any]:
    forms = list(candidate.plan.forms.values())
    return {
        "name": candidate.name,
        "forms": {form.value: forms.count(form) for form in Form},
        "error": _number(candidate.error),
        "drop": asdict(candidate.drop) if candidate.drop else None,
        "complete": candidate.scored is not None and candidate.scored.complete,
        "size": len(candidate.data),
        "cost": candidate.cost,
        "meets": candidate.verdict.meets,
        "pareto": best,
    }


def _pareto(candidates: tuple[Candidate, ...]) -> set[str]:
    """Those that no other one beats in drop, size and cost at once."""
    points = {
        each.name: (each.drop.value, len(each.data), each.cost) for each in candidates if each.drop
    }
    return {
        name
        for name, point in points.items()
        if not any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True))
            for other in points.values()
        )
    }


def _sensitivity(found: Found, prepared: ModelProto) -> list[dict[str, Any]]:
    ops = {node.name: node.op_type for node in prepared.graph.node}
    return [
        {
            "node": variant.node,
            "op": ops[variant.node],
            "form": variant.form.value,
            "error": _number(effect.error),
            "drop": effect.drop,
        }
        for variant, effect in found.effects
    ]


def _number(value: float) -> float | None:
    """JSON has no word for infinity."""
    return value if np.isfinite(value) else None


def _names(names: Names) -> dict[str, Any]:
    return {"nodes": dict(names.nodes), "tensors": dict(names.tensors)}


def _data(dataset: Dataset, digest: Digest) -> dict[str, Any]:
    return {"digest": digest, "samples": dataset.samples}


def _port(tensor: Tensor) -> dict[str, Any]:
    """`shape` as onnxruntime tells it, None where an axis has any length."""
    return {"name": tensor.name, "dtype": str(tensor.dtype), "shape": list(tensor.shape)}


def _nodes(model: ModelProto, plan: Plan) -> list[dict[str, str]]:
    """Each node of the normalised model with what it computes in: its form where it has a
    choice, int8 where it moves or clamps int8 values, else the type of its first output."""
    places = placed(model, plan)
    values: list[ValueInfoProto] = [*model.graph.value_info, *model.graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}

    def precision(node: NodeProto) -> str:
        form = plan.forms.get(node.name)
        if form:
            return form.value
        if node.output[0] in places.produced:
            return Form.STATIC.value
        return _type_name(types.get(node.output[0], TensorProto.UNDEFINED))

    return [
        {"name": node.name, "op": node.op_type, "precision": precision(node)}
        for node in model.graph.node
    ]


def _type_name(kind: int) -> str:
    if kind == TensorProto.UNDEFINED:
        return "unknown"
    name = str(np.dtype(helper.tensor_dtype_to_np_dtype(kind)))
    return {"float32": "fp32", "float16": "fp16"}.get(name, name)


def options(project: Project, profile: Profile) -> dict[str, Any]:
    return {
        **project.layout.settings(),
        "labels": project.data.labels,
        "groups": project.data.groups,
        "clusters": project.data.clusters,
        "metric": project.metric.model_dump(mode="json"),
        "metric_source": metrics.digest(project.metric),
        "budget": project.budget.model_dump(mode="json"),
        "precision": "int8" if "int8" in profile.runtime.precisions else "fp32",
        "quantization": profile.quantization.model_dump(mode="json"),
    }


def tools() -> dict[str, str]:
    return {"yardarm": yardarm.__version__} | {
        name: version(name) for name in ("onnx", "onnxruntime", "numpy")
    }
