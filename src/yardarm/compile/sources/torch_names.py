"""What tensors and nodes of an exported module are called: as its project calls them, and the
same on every machine."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from yardarm.compile.normalising import graphs
from yardarm.compile.sources.torch_source import TorchSource

BATCH = "batch"


def bare(model: ModelProto) -> None:
    """Take out paths and stack traces, which differ from machine to machine."""
    for part in (model, model.graph, *graphs.nodes(model.graph)):
        _bare(part)
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        _bare(value)
    del model.graph.value_info[:]
    model.graph.name = "torch"
    model.producer_name, model.producer_version = "pytorch", ""


def _bare(part: Any) -> None:
    part.doc_string = ""
    with contextlib.suppress(AttributeError):
        del part.metadata_props[:]


def free_lengths(graph: GraphProto) -> None:
    """Lengths that are free are called by their order, not by torch's running numbers."""
    known: dict[str, str] = {}
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param.isidentifier():
                new = BATCH if not known else f"length_{len(known)}"
                dim.dim_param = known.setdefault(dim.dim_param, new)
            elif dim.dim_param.isdecimal():
                dim.dim_value = int(dim.dim_param)
            elif dim.dim_param:
                dim.Clear()


def name_nodes(graph: GraphProto) -> None:
    """Nodes called by the module that they come from."""
    taken: set[str] = set()
    for node in graph.node:
        stem = name = f"{_module(node)}/{node.op_type}".removeprefix("/")
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name)
        node.name = name


SCOPES = re.compile(r"'([^']*)'")
FOLDED = "FuseBatchNorm"  # how the rules begin by which a convolution takes a norm's place


def _module(node: NodeProto) -> str:
    """The path of the module that ran the node; of a convolution with its norm folded in,
    the convolution's."""
    told = {entry.key: entry.value for entry in node.metadata_props}
    if told.get("pkg.onnxscript.rewriter.rule_name", "").startswith(FOLDED):
        return str(node.input[1]).removesuffix(".weight")
    scopes = SCOPES.findall(told.get("pkg.torch.onnx.name_scopes", ""))
    return (
        scopes[-2].removeprefix("_empty_nn_module_stack_from_metadata_hook")
        if len(scopes) > 1
        else ""
    )


def rename_ports(graph: GraphProto, source: TorchSource) -> dict[str, str]:
    """Inputs and outputs called as the project does; returns who is now called how."""
    fixed = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    renamed = dict(zip((value.name for value in graph.input), source.inputs, strict=True))
    for value, name in zip(graph.output, source.outputs, strict=True):
        if value.name in fixed or value.name in renamed:
            graph.node.append(onnx.helper.make_node("Identity", [value.name], [name], name=name))
        else:
            renamed[value.name] = name
        value.name = name
    clashes = set(renamed.values()) & ((fixed | set(graphs.producers(graph))) - set(renamed))
    renamed |= {name: f"{name}/inner" for name in clashes}
    graphs.rename(graph, renamed)
    for held in (*graph.input, *graph.initializer):
        held.name = renamed.get(held.name, held.name)
    return renamed
