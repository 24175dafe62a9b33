"""Which operators a model needs, and the ones that stand in the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import onnx
from onnx import FunctionProto, ModelProto, NodeProto, OperatorSetIdProto

from yardarm.compile.normalising import graphs
from yardarm.errors import Unsupported

NEWEST = onnx.defs.onnx_opset_version()
OLDEST = 7  # the first set that onnxruntime promises to run
RUNTIME = ("com.microsoft",)  # onnxruntime's own operators: only loading tells which it has
LOOPS = frozenset({"If", "Loop", "Scan"})

# onnxruntime's words for an operator that it doesn't know, and for one without a kernel
UNREGISTERED = re.compile(r"Fatal error: (?P<domain>[^:\s]*):?(?P<op>\w+)\(-?\d+\) is not a regist")
UNIMPLEMENTED = re.compile(r"implementation for (?P<op>\w+)\(\d+\) node with name '(?P<node>.*)'")


def check(model: ModelProto) -> None:
    """Raises Unsupported naming operator, domain and node where one is unknown to ONNX in
    the model's own operator sets, and no function of the model defines it."""
    if (version := _versions(model.opset_import).get("", 0)) > NEWEST:
        raise Unsupported(
            f"operator set {version} is newer than {NEWEST}, the newest known here",
            where="model",
            hint="export the model again with an older operator set",
        )
    if node := next(unknown(model), None):
        raise unsupported(node)


def unknown(model: ModelProto) -> Iterator[NodeProto]:
    """The nodes whose operator ONNX doesn't have in the model's sets, and no function defines."""
    functions = {(function.domain, function.name) for function in model.functions}
    for part in (model.graph, *model.functions):
        sets = part.opset_import if isinstance(part, FunctionProto) else model.opset_import
        versions = _versions(sets)
        for node in graphs.nodes(part):
            own = (node.domain, node.op_type) in functions or node.domain in RUNTIME
            if not own and not _known(node, versions.get(_domain(node.domain), 0)):
                yield node


def _versions(sets: Iterable[OperatorSetIdProto]) -> dict[str, int]:
    return {_domain(entry.domain): entry.version for entry in sets}


def unsupported(node: NodeProto) -> Unsupported:
    domain = f"domain {node.domain}" if _domain(node.domain) else "ONNX's own domain"
    return Unsupported(
        f"there is no operator {node.op_type} in {domain} here",
        where=f"node {node.name or 'without a name, output ' + repr(', '.join(node.output))}",
        hint="replace it, or write it as a function of ONNX's own operators",
    )


def explained(model: ModelProto, error: Unsupported) -> Unsupported:
    """The error with the node named, where onnxruntime's reason says which operator it was."""
    if found := UNREGISTERED.search(error.what):
        parts = (model.graph, *model.functions)
        for node in (node for part in parts for node in graphs.nodes(part)):
            if (node.op_type, _domain(node.domain)) == (found["op"], found["domain"]):
                return unsupported(node)
    found = UNIMPLEMENTED.search(error.what)
    if not found:
        return error
    version = _versions(model.opset_import).get("", OLDEST)
    if version < OLDEST:
        return Unsupported(
            f"operator set {version} is too old for onnxruntime, which runs {OLDEST} and newer",
            where="model",
            hint="export the model again with a newer operator set",
        )
    where = f"node {found['node']}" if found["node"] else "model"
    return Unsupported(
        f"onnxruntime has no implementation of {found['op']} for these types", where=where
    )


def control_flow(model: ModelProto) -> list[str]:
    """Names of the nodes whose inner graphs stay in fp32: `If`, `Loop` and `Scan`."""
    return [node.name or node.output[0] for node in model.graph.node if node.op_type in LOOPS]


def _domain(name: str) -> str:
    return "" if name in graphs.STANDARD else name


def _known(node: NodeProto, version: int) -> bool:
    try:
        schema = onnx.defs.get_schema(node.op_type, version, _domain(node.domain))
    except onnx.defs.SchemaError:
        return False
    return not schema.deprecated
