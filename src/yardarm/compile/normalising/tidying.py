"""A graph without what only its exporter needed. No answer changes by a bit.

Functions of the model are inlined, constants become initializers, identities, dead nodes and
unused weights go, initializers are no inputs any more.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx.inliner
from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, numpy_helper

from yardarm.compile.normalising import graphs
from yardarm.compile.normalising.graphs import STANDARD
from yardarm.errors import Unsupported

IR_WITH_FREE_INITIALIZERS = 4  # before it, every initializer had to be an input as well


def tidied(model: ModelProto) -> ModelProto:
    """A new model, smaller where it can be.

    Raises:
        Unsupported: a function of the model can't be inlined; quotes why.
    """
    tidy = inlined(model)
    tidy.ir_version = max(tidy.ir_version, IR_WITH_FREE_INITIALIZERS)
    _free_initializers(tidy.graph)
    _lift_constants(tidy.graph)
    _skip_identities(tidy.graph)
    _drop_dead(tidy.graph)
    return tidy


def inlined(model: ModelProto) -> ModelProto:
    """A copy without functions of its own; those that only exist for a name are gone too."""
    if not model.functions:
        return graphs.copied(model)
    try:
        flat: ModelProto = onnx.inliner.inline_local_functions(model, convert_version=True)
    except Exception as error:  # noqa: BLE001  the inliner raises whatever its C++ meets
        reason = str(error).strip().splitlines()[0][:200]
        raise Unsupported(f"its functions can't be inlined: {reason}", where="model") from None
    used = {node.domain for node in graphs.nodes(flat.graph)}
    defined = {function.domain for function in model.functions}
    kept = [e for e in flat.opset_import if e.domain in used or e.domain not in defined]
    del flat.opset_import[:]
    flat.opset_import.extend(kept)
    return flat


def _free_initializers(graph: GraphProto) -> None:
    """Initializers among the inputs are defaults, and nothing may be folded into a default."""
    filled = {tensor.name for tensor in graph.initializer}
    filled |= {tensor.values.name for tensor in graph.sparse_initializer}
    fed = [value for value in graph.input if value.name not in filled]
    del graph.input[:]
    graph.input.extend(fed)


def _lift_constants(graph: GraphProto) -> None:
    kept = []
    for node in graph.node:
        tensor = _constant(node)
        if tensor is None:
            kept.append(node)
        else:
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
    graphs.replace_nodes(graph, kept)
    for sparse in graph.sparse_initializer:
        dense = numpy_helper.from_array(_dense(sparse), sparse.values.name)
        graph.initializer.append(dense)
    del graph.sparse_initializer[:]


def _constant(node: NodeProto) -> TensorProto | None:
    """The value of a Constant node; None for other nodes, and for text, which stays."""
    if node.op_type != "Constant" or node.domain not in STANDARD or not node.attribute:
        return None
    held = node.attribute[0]
    value = onnx.helper.get_attribute_value(held)
    match held.name:
        case "value" if held.t.data_type != TensorProto.STRING:
            tensor = TensorProto()
            tensor.CopyFrom(held.t)
            return tensor
        case "value_float" | "value_floats":
            return numpy_helper.from_array(np.asarray(value, np.float32))
        case "value_int" | "value_ints":
            return numpy_helper.from_array(np.asarray(value, np.int64))
        case "sparse_value":
            return numpy_helper.from_array(_dense(held.sparse_tensor))
        case _:
            return None


def _dense(sparse: SparseTensorProto) -> np.ndarray:
    """Indices are positions in the flat array, [N], or coordinates, [N, rank]."""
    values, places = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    whole = np.zeros(tuple(sparse.dims), values.dtype)
    if places.ndim == 1:
        whole.reshape(-1)[places] = values
    else:
        whole[tuple(places.T)] = values
    return whole


def _skip_identities(graph: GraphProto) -> None:
    """Who read an Identity reads its source. Where the graph answers the Identity's output,
    the source takes that name instead, unless it has to keep its own."""
    answers = {value.name for value in graph.output}
    fixed = answers | {value.name for value in graph.input}
    fixed |= {tensor.name for tensor in graph.initializer}
    read = set(graphs.uses(graph))
    kept, renamed = [], dict[str, str]()
    for node in graph.node:
        if not _passes_on(node, read):
            kept.append(node)
            continue
        source, answer = renamed.get(node.input[0], node.input[0]), node.output[0]
        if answer not in answers:
            renamed[answer] = source
        elif source in fixed:
            kept.append(node)
        else:
            renamed = {old: answer if new == source else new for old, new in renamed.items()}
            renamed[source] = answer
    graphs.replace_nodes(graph, kept)
    graphs.rename(graph, renamed)


def _passes_on(node: NodeProto, read: set[str]) -> bool:
    """Identity, or Dropout as it is outside of training, its mask unread."""
    if node.domain not in STANDARD:
        return False
    if node.op_type == "Identity":
        return True
    return node.op_type == "Dropout" and len(node.input) < 3 and not read & set(node.output[1:])


def _drop_dead(graph: GraphProto) -> None:
    """Nodes that no output depends on, then initializers that nobody reads."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(_reads(node))
    graphs.replace_nodes(graph, kept[::-1])
    held = [tensor for tensor in graph.initializer if tensor.name in needed]
    if len(held) < len(graph.initializer):
        copies = [TensorProto.FromString(tensor.SerializeToString()) for tensor in held]
        del graph.initializer[:]
        graph.initializer.extend(copies)


def _reads(node: NodeProto) -> Iterator[str]:
    yield from (name for name in node.input if name)
    for body in graphs.bodies(node):
        yield from graphs.uses(body)
