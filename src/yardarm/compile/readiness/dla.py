"""What a Jetson's DLA cores would take of a model, and into how many pieces it would fall.

A first estimate from the graph alone: TensorRT fuses before it decides, and knows more limits.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from onnx import TensorProto

from yardarm.compile.readiness import tables
from yardarm.compile.readiness.findings import Finding, Severity
from yardarm.compile.readiness.reading import Node, Reading, Shape

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)  # float32 is compiled to float16 before
WEIGHTED = "Conv", "ConvTranspose", "MatMul", "Gemm"
XAVIER = 72
EXPLICIT = "explicit Q/DQ"
RETURNED = (11, 4)
PAYS_SHARE, PAYS_PIECES = 0.9, 4  # a judgement: each change of sides costs copies


@dataclass(frozen=True)
class Dla:
    """What DLA cores would take.

    Attributes:
        cores: of the device.
        present: whether its TensorRT has DLA at all.
        eligible: nodes that could run there.
        nodes: nodes that compute; what is constant is folded away before.
        loadables: connected pieces into which the GPU's nodes cut the eligible ones.
        worth: whether trying it on the device promises anything.
        verdict: why, in a phrase.
        stays: the nodes that stay on the GPU, each with the reason.
    """

    cores: int
    present: bool
    eligible: int
    nodes: int
    loadables: int
    worth: bool
    verdict: str
    stays: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def judged(reading: Reading) -> tuple[Dla | None, list[Finding]]:
    """The summary, and a note for each operator and reason that keeps nodes on the GPU.

    The reading is of fixed shapes, since DLA has no others.
    """
    target = reading.target
    if not target.dla:
        return None, []
    if not present(target.tensorrt):
        last = _limits()["last"]
        why = f"TensorRT {target.version} has no DLA; {last} was the last for now"
        return Dla(target.dla, False, 0, 0, 0, False, why), []
    if any(shape is None or None in shape for shape in reading.inputs().values()):
        why = "inputs have dynamic sizes, and DLA has fixed ones alone"
        return Dla(target.dla, True, 0, 0, 0, False, why), []
    nodes = [node for node in reading.nodes if _computes(node)]
    reasons = {node: why for node in nodes if (why := obstacle(node, reading))}
    eligible = [node for node in nodes if node not in reasons]
    count = pieces(nodes, set(eligible))
    worth, verdict = _verdict(nodes, eligible, count)
    if EXPLICIT in reasons.values():
        worth, verdict = False, "explicit Q/DQ runs on the GPU; the model in fp16 might pay"
    summary = Dla(
        cores=target.dla,
        present=True,
        eligible=len(eligible),
        nodes=len(nodes),
        loadables=count,
        worth=worth,
        verdict=verdict,
        stays={node.name: why for node, why in reasons.items()},
    )
    return summary, _notes(reasons) if eligible else []


def _notes(reasons: Mapping[Node, str]) -> list[Finding]:
    """One for each operator and reason, at the first node that has them."""
    alike: dict[tuple[str, str], list[Node]] = {}
    for node, why in reasons.items():
        alike.setdefault((node.op, why), []).append(node)
    return [
        Finding(
            nodes[0].name,
            op,
            "dla",
            Severity.NOTE,
            f"{why} ({_many(len(nodes))})",
            "it runs on the GPU, not on DLA",
        )
        for (op, why), nodes in alike.items()
    ]


def _many(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def present(version: tuple[int, int]) -> bool:
    """Whether a version of TensorRT has DLA."""
    return version <= tables.version(_limits()["last"]) or version >= RETURNED


def obstacle(node: Node, reading: Reading) -> str:
    """Why a node can't run on DLA; empty where nothing is known against it."""
    limits = _limits()
    if node.op in ("QuantizeLinear", "DequantizeLinear") and reading.target.tensorrt < RETURNED:
        return EXPLICIT
    if node.op not in limits["operators"] or not node.standard:
        return "DLA has no such operator"
    if reading.target.sm <= XAVIER and node.op in limits["orin_only"]:
        return "Xavier's DLA has no such operator"
    return _types(node) or _sizes(node, limits) or _settings(node, limits)


def pieces(nodes: Sequence[Node], eligible: set[Node]) -> int:
    """How many loadables the eligible nodes form: connected, and never waiting for the GPU
    in between."""
    wave: dict[Node, int] = {}
    root: dict[Node, Node] = {}

    def found(node: Node) -> Node:
        while root[node] is not node:
            node = root[node]
        return node

    for node in nodes:
        before = [made for made in _makers(node) if made in wave]
        here = node in eligible
        waves = [wave[made] + (here and made not in eligible) for made in before]
        wave[node] = max(waves, default=0)
        if here:
            root[node] = node
            for made in before:
                if made in eligible and wave[made] == wave[node]:
                    root[found(made)] = node
    return len({found(node) for node in eligible})


def _makers(node: Node) -> list[Node]:
    """Nodes that it reads from, through those that hold constants only."""
    made = (node.maker(place) for place in range(len(node.proto.input)))
    return [each for each in made if each is not None]


def _computes(node: Node) -> bool:
    """Whether anything is left of it in an engine: constants are folded."""
    reads = [name for name in node.proto.input if name]
    return bool(reads) and any(node.scope.tensor(name) is None for name in reads)


def _types(node: Node) -> str:
    kind = node.type(0)
    if kind and kind not in FLOATS:
        return f"{tables.word(kind)}, where DLA has fp16 and int8"
    return ""


def _sizes(node: Node, limits: Mapping[str, Any]) -> str:
    made = node.scope.type(node.output())[1]
    for shape in (node.shape(0), made):
        if shape is None or None in shape[1:]:
            return "its shape is dynamic"
        if why := _too_large(shape, limits):
            return why
    return ""


def _too_large(shape: Shape, limits: Mapping[str, Any]) -> str:
    batch, rest = shape[:1], shape[1:]
    if batch == (None,):
        return "its batch is dynamic"
    if any(size is not None and size > limits["batch_max"] for size in batch):
        return f"a batch above {limits['batch_max']:,}"
    if any(size is not None and size > limits["dimension_max"] for size in rest):
        return f"a dimension above {limits['dimension_max']:,}"
    return ""


def _settings(node: Node, limits: Mapping[str, Any]) -> str:
    shape = node.shape(0) or ()
    if node.op in limits["kernel_max"]:
        kernel = node.numbers("kernel_shape") or _kernel(node)
        if len(shape) != 4:
            return "two spatial axes only"
        if any(size > limits["kernel_max"][node.op] for size in kernel):
            return "its kernel is too large"
        if any(step > limits["stride_max"][node.op] for step in node.numbers("strides")):
            return "its stride is too large"
    return _own_settings(node, len(shape))


def _own_settings(node: Node, rank: int) -> str:
    """Limits of single operators."""
    ones = set(node.numbers("dilations")) <= {1}
    if node.op in ("Conv", "Gemm", "MatMul") and node.tensor(1) is None:
        return "its weights are computed"
    if node.op == "ConvTranspose" and (node.attribute("group", 1) != 1 or not ones):
        return "ConvTranspose in groups or dilated"
    if node.op == "ConvTranspose" and any(node.numbers("pads")):
        return "ConvTranspose with padding"
    if node.op == "Concat" and node.attribute("axis", 1) not in (1, 1 - rank):
        return "Concat on another axis than the channels"
    return ""


def _kernel(node: Node) -> tuple[int, ...]:
    tensor = node.tensor(1)
    return tuple(tensor.dims)[2:] if tensor is not None else ()


def _verdict(nodes: Sequence[Node], eligible: Sequence[Node], count: int) -> tuple[bool, str]:
    taken = set(eligible)
    heavy = [node for node in nodes if node.op in WEIGHTED]
    share = sum(node in taken for node in heavy) / max(len(heavy), 1)
    if not eligible:
        return False, "nothing of it runs there"
    if not heavy:
        return False, "nothing in it multiplies"
    if count > _limits()["loadables_max"]:
        return False, f"a core holds {_limits()['loadables_max']} loadables"
    if share < PAYS_SHARE:
        return False, f"{share:.0%} of what multiplies would run there"
    if count > PAYS_PIECES:
        return False, "too many changes between DLA and GPU"
    return True, "most of what multiplies stays there; measure it on the device"


@cache
def _limits() -> dict[str, Any]:
    return tomllib.loads((tables.HERE / "dla.toml").read_text(encoding="utf-8"))
