"""ONNX's own rules, but for the one that exporters and runtimes don't keep."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import GraphProto, ModelProto, ValueInfoProto

from yardarm.compile.normalising import graphs


def breach(model: ModelProto) -> str:
    """Which rule of ONNX's checker the model breaks, on one line; empty where none.

    Inputs and outputs without any shape are let pass: their rank is then not known.
    """
    try:
        onnx.checker.check_model(_shaped(model))
    except onnx.checker.ValidationError as error:
        return " ".join(str(error).split())[:300]
    return ""


def _shaped(model: ModelProto) -> ModelProto:
    if not any(_shapeless(value) for value in _ports(model.graph)):
        return model
    shaped = graphs.copied(model)
    for value in _ports(shaped.graph):
        if _shapeless(value):
            value.type.tensor_type.shape.SetInParent()
    return shaped


def _shapeless(value: ValueInfoProto) -> bool:
    held = value.type.tensor_type
    return value.type.HasField("tensor_type") and not held.HasField("shape")


def _ports(graph: GraphProto) -> Iterator[ValueInfoProto]:
    yield from graph.input
    yield from graph.output
    for node in graph.node:
        for body in graphs.bodies(node):
            yield from _ports(body)
