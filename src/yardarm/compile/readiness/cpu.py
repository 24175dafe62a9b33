"""Whether onnxruntime takes a model, for profiles that run it."""

from __future__ import annotations

from collections.abc import Iterator

import onnxruntime
from onnx import ModelProto

from yardarm.compile.normalising import graphs, shapes
from yardarm.compile.readiness.check import Readiness, ranked
from yardarm.compile.readiness.findings import Finding, Severity
from yardarm.compile.session import Engine
from yardarm.compile.sources import importing, operators
from yardarm.errors import Unsupported
from yardarm.profiles import Profile


def check_onnxruntime(model: ModelProto, profile: Profile) -> Readiness:
    """Hold a model against ONNX's operators, the profile's operator sets and the onnxruntime
    that is here."""
    found = list(_operators(model))
    if not found:
        found = list(_loaded(model))
    return Readiness(
        profile=profile.name,
        engine="onnxruntime",
        system=profile.os.name,
        nodes=sum(node.op_type != "Constant" for node in graphs.nodes(model.graph)),
        findings=ranked(*found, *_opset(model, profile)),
    )


def _operators(model: ModelProto) -> Iterator[Finding]:
    for node in operators.unknown(model):
        told = operators.unsupported(node)
        yield Finding(
            node.name or f"output {', '.join(node.output)}",
            node.op_type,
            "operator",
            Severity.ERROR,
            told.what,
            told.hint,
        )


def _loaded(model: ModelProto) -> Iterator[Finding]:
    try:
        Engine(model, layout=shapes.ANY_LENGTH)
    except Unsupported as error:
        told = operators.explained(model, error)
        node = told.where.removeprefix("node ") if told.where.startswith("node ") else ""
        op = next((n.op_type for n in graphs.nodes(model.graph) if n.name == node), "")
        hint = told.hint or "export it with other operators"
        what = f"{told.what} (onnxruntime {onnxruntime.__version__} here)"
        yield Finding(node, op, "onnxruntime", Severity.ERROR, what, hint)


def _opset(model: ModelProto, profile: Profile) -> Iterator[Finding]:
    low, high = profile.runtime.opset_min, profile.runtime.opset_max
    have = importing.opset(model)
    if have > operators.NEWEST:
        what = f"operator set {have} is newer than {operators.NEWEST}, the newest known here"
        yield Finding("", "", "opset", Severity.ERROR, what, "export with an older operator set")
    elif have and not low <= have <= high:
        what = f"operator set {have}; the profile takes {low} to {high}"
        yield Finding("", "", "opset", Severity.WARNING, what, "compiling converts it if it can")
