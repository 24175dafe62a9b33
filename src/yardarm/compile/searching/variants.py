"""One graph in which many nodes are tried in another form, each in a branch of its own.

Everything before a node is shared with the unchanged graph, so that a pass over data costs what
comes behind the nodes, and one session answers for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper

from yardarm.compile.calibration.ranges import Range
from yardarm.compile.normalising import graphs
from yardarm.compile.quantization import dynamic, encode
from yardarm.compile.quantization.encode import Parts
from yardarm.compile.quantization.forms import Form, constants
from yardarm.compile.quantization.placement import readers_of
from yardarm.compile.quantization.plan import Plan
from yardarm.compile.quantization.quantize import placed, quantize


@dataclass(frozen=True)
class Variant:
    """A node in a form, everything else in fp32."""

    node: str
    form: Form


@dataclass(frozen=True)
class Rounded:
    """A tensor in int8 over a range, everything else in fp32."""

    tensor: str
    range: Range


@dataclass(frozen=True)
class Branches:
    """A graph with branches.

    Attributes:
        outputs: for each variant the outputs that it changes, with their names in the graph.
    """

    model: ModelProto
    outputs: tuple[Mapping[str, str], ...]


def branched(model: ModelProto, variants: Sequence[Variant | Rounded], plan: Plan) -> Branches:
    """Add a branch for each variant to a normalised model.

    Args:
        plan: gives ranges and the way of quantizing; its forms are not looked at.
    """
    grown = ModelProto()
    grown.CopyFrom(model)
    del grown.graph.value_info[:]
    outputs = tuple(
        _branch(grown.graph, model, variant, plan, f"#{number}")
        for number, variant in enumerate(variants)
    )
    dynamic.declare(grown)
    return Branches(grown, outputs)


def length(model: ModelProto, variant: Variant | Rounded) -> int:
    """How many nodes its branch has."""
    if isinstance(variant, Rounded):
        return _behind(model, {variant.tensor})
    start = next(each for each in model.graph.node if each.name == variant.node)
    return 1 + _behind(model, {name for name in start.output if name})


def _branch(
    graph: GraphProto, model: ModelProto, variant: Variant | Rounded, plan: Plan, tag: str
) -> dict[str, str]:
    if isinstance(variant, Rounded):
        parts = Parts()
        chosen = encode.scale_of(variant.range, plan.choice)
        ends = {variant.tensor}
        encode.activation(parts, variant.tensor, chosen, f"{variant.tensor}{tag}")
        graph.node.extend(parts.nodes)
        graph.initializer.extend(parts.initializers.values())
        skipped: set[str] = set()
    else:
        head = _head(model, variant, plan)
        only = _alone(plan, variant)
        _append_head(graph, model, head, only, tag)
        ends = {name for node in head for name in node.output if name}
        skipped = {node.name for node in head}
    return _append_behind(graph, model, ends, skipped, tag)


def _append_behind(
    graph: GraphProto, model: ModelProto, ends: set[str], skipped: set[str], tag: str
) -> dict[str, str]:
    changed = {name: f"{name}{tag}" for name in ends}
    for node in model.graph.node:
        if node.name not in skipped and _reads(node, changed):
            fresh = renamed(node, changed, tag)
            changed |= {name: f"{name}{tag}" for name in node.output if name}
            graph.node.append(fresh)
    finals = [value for value in model.graph.output if value.name in changed]
    for value in finals:
        branch = graph.output.add()
        branch.CopyFrom(value)
        branch.name = changed[value.name]
    return {value.name: changed[value.name] for value in finals}


def _head(model: ModelProto, variant: Variant, plan: Plan) -> list[NodeProto]:
    """The node, and the clamp behind it where both are rounded at once."""
    node = next(each for each in model.graph.node if each.name == variant.node)
    only = _alone(plan, variant)
    if plan.tensorrt or variant.form is not Form.STATIC:
        return [node]
    if node.output[0] in placed(model, only).produced:
        return [node]
    return [node, readers_of(model)[node.output[0]][0]]


def _alone(plan: Plan, variant: Variant) -> Plan:
    return replace(plan, forms={variant.node: variant.form}, shifts={})


def _append_head(
    graph: GraphProto, model: ModelProto, head: list[NodeProto], plan: Plan, tag: str
) -> None:
    """The head as the writer writes it, from the unchanged graph's tensors."""
    known, values = constants(model), _values(model)
    made = {name for node in head for name in node.output}
    read = dict.fromkeys(name for node in head for name in node.input if name)
    fed = [name for name in read if name not in known and name not in made]
    small = helper.make_model(
        helper.make_graph(
            head,
            "head",
            [values[name] for name in fed],
            [values[name] for name in head[-1].output if name],
            [known[name] for name in read if name in known],
        )
    )
    written = quantize(small, plan).graph
    held = {tensor.name for tensor in graph.initializer}
    kept = set(fed) | (held & set(read))
    inside = {
        name: f"{name}{tag}"
        for node in written.node
        for name in (*node.input, *node.output)
        if name and name not in kept
    }
    graph.node.extend(renamed(node, inside, tag) for node in written.node)
    for tensor in written.initializer:
        if tensor.name not in kept:
            fresh = graph.initializer.add()
            fresh.CopyFrom(tensor)
            fresh.name = inside.get(tensor.name, f"{tensor.name}{tag}")


def _values(model: ModelProto) -> Mapping[str, ValueInfoProto]:
    """What is known of each tensor: a writer may ask for its type."""
    graph = model.graph
    known = (*graph.value_info, *graph.input, *graph.output)
    told = {value.name: value for value in known}
    made = (name for node in graph.node for name in (*node.input, *node.output))
    return {name: told.get(name) or helper.make_empty_tensor_value_info(name) for name in made}


def _behind(model: ModelProto, changed: set[str]) -> int:
    count = 0
    for node in model.graph.node:
        if _reads(node, changed):
            changed |= {name for name in node.output if name}
            count += 1
    return count


def _reads(node: NodeProto, names: Mapping[str, str] | set[str]) -> bool:
    return any(name in names for name in graphs.reads(node))


def renamed(node: NodeProto, names: Mapping[str, str], tag: str) -> NodeProto:
    """A copy with its tensors renamed, in the bodies of If and Loop too."""
    fresh = NodeProto()
    fresh.CopyFrom(node)
    fresh.name = f"{node.name}{tag}"
    fresh.input[:] = [names.get(name, name) for name in node.input]
    fresh.output[:] = [f"{name}{tag}" if name else "" for name in node.output]
    for body in graphs.bodies(fresh):
        inner = [renamed(each, names, "") for each in body.node]
        del body.node[:]
        body.node.extend(inner)
        for value in body.output:
            value.name = names.get(value.name, value.name)
    return fresh
