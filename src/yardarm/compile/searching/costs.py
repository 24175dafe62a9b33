"""What a mix of forms costs a core, where no device can be asked.

A model of multiplications, bytes and changes between types in cycles of the profile's CPU. It
ranks mixes; it was never fitted to a board, and no time is claimed from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from onnx import ModelProto, NodeProto, TensorProto

from yardarm.compile.calibration.ranges import Range
from yardarm.compile.quantization.forms import Form, constants, weights
from yardarm.compile.quantization.placement import Placement, place
from yardarm.profiles import Cpu

DOT_PRODUCT = "asimddp"  # in a CPU's features: four int8 products and their sum in each lane
FREE = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape", "Dropout"})


@dataclass(frozen=True)
class Rates:
    """What a core does in one cycle, on average over real kernels.

    Widths are those of one 128-bit NEON pipe; half of it is taken as reached.
    """

    float_products: float = 4.0
    int8_products: float = 6.0
    elements: float = 2.0  # of float32, for sums and activation functions
    quantized: float = 1.0  # elements turned into int8
    dequantized: float = 2.0
    bytes: float = 4.0  # of weights, from memory
    node: float = 2000.0  # cycles that starting a kernel takes


def rates(cpu: Cpu) -> Rates:
    return Rates(int8_products=16.0) if DOT_PRODUCT in cpu.features else Rates()


class CostModel(Protocol):
    """Tells what a mix of forms costs; the unit is the model's own."""

    def of(self, forms: Mapping[str, Form]) -> float: ...


@dataclass(frozen=True)
class Costs:
    """Costs of forms for one model.

    Args:
        elements: values of one sample, by float32 tensor.
    """

    model: ModelProto
    elements: Mapping[str, float]
    ranges: Mapping[str, Range]
    rates: Rates
    symmetric: bool

    def of(self, forms: Mapping[str, Form]) -> float:
        """Cycles for one sample."""
        known = constants(self.model)
        placed = place(self.model, forms, self.ranges, symmetric=self.symmetric)
        inside: float = sum(
            self._node(node, forms.get(node.name, Form.FP32), known, placed)
            for node in self.model.graph.node
        )
        return inside + self._changes(placed)

    def _changes(self, placed: Placement) -> float:
        entered = [name for name in placed.pairs if name not in placed.produced]
        into = sum(self.size(name) / self.rates.quantized for name in entered)
        out_of = sum(self.size(name) / self.rates.dequantized for name in placed.converted)
        return into + out_of + self.rates.node * (len(entered) + len(placed.converted))

    def _node(
        self,
        node: NodeProto,
        form: Form,
        known: Mapping[str, TensorProto],
        placed: Placement,
    ) -> float:
        if node.op_type in FREE or self._absorbed(node, placed):
            return 0.0
        rates, products = self.rates, self.products(node, known)
        moved = self.size(node.output[0])
        if not products:
            width = 2 if form is Form.STATIC or node.name in placed.movers else 1
            return float(rates.node + moved / (rates.elements * width))
        shapes = [known[name].dims for name in weights(node, known)]
        held = sum(map(math.prod, shapes))
        fast = form in (Form.STATIC, Form.DYNAMIC) or (
            form is Form.WEIGHTS
            and node.op_type in ("MatMul", "Gemm")
            and all(len(dims) == 2 for dims in shapes)
        )  # onnxruntime keeps such weights in int8 and quantizes inputs blockwise
        arithmetic: float = products / (rates.int8_products if fast else rates.float_products)
        loading = held * (4 if form is Form.FP32 else 1) / rates.bytes
        extra = 0.0
        if form is Form.DYNAMIC:
            extra = 2 * self.size(node.input[0]) / rates.quantized
        elif form is Form.WEIGHTS and not fast and node.op_type != "Gather":
            extra = held / rates.dequantized
        return float(rates.node + max(arithmetic, loading) + extra)

    def _absorbed(self, node: NodeProto, placed: Placement) -> bool:
        """A clamp that the rounding behind it does as well."""
        ends = placed.produced
        return (
            node.op_type in ("Relu", "Clip")
            and node.output[0] in ends
            and node.input[0] not in ends
        )

    def products(self, node: NodeProto, known: Mapping[str, TensorProto]) -> float:
        """Multiplications for one sample; 0 for nodes that don't multiply matrices."""
        made = self.size(node.output[0])
        held = [list(known[name].dims) for name in node.input if name in known]
        shape = next((dims for dims in held if len(dims) > 1), None)
        match node.op_type:
            case "Conv" if shape:
                return float(made * math.prod(shape[1:]))
            case "ConvTranspose" | "Attention" if shape:
                return float(self.size(node.input[0]) * math.prod(shape[1:]))
            case "MatMul" | "Gemm" if shape:
                return float(made * math.prod(shape) / _outputs(node, shape))
            case "MatMul" | "Gemm":
                sizes = self.size(node.input[0]) * self.size(node.input[1])
                return math.sqrt(sizes * made)
            case "LSTM" | "GRU" | "RNN" if shape:
                steps = self.size(node.input[0]) / max(1, shape[-1])
                matrices = (math.prod(dims) for dims in held if len(dims) == 3)
                return float(steps * sum(matrices))
        return 0.0

    def size(self, name: str) -> float:
        """Values of one sample."""
        return self.elements.get(name, 0.0)


def _outputs(node: NodeProto, shape: list[int]) -> int:
    turned = any(held.name == "transB" and held.i for held in node.attribute)
    return max(1, shape[0] if turned else shape[-1])


def cheapest(costs: CostModel, ladders: Mapping[str, tuple[Form, ...]]) -> dict[str, Form]:
    """The forms of least cost: the fastest everywhere, or fp16 where that is offered, then each
    node for which another form is cheaper among its neighbours', until none is.

    Of forms that cost the same the smaller file wins, so that weights are kept in int8 where
    arithmetic stays in fp32.
    """
    starts = [{name: ladder[0] for name, ladder in ladders.items()}]
    if any(Form.FP16 in ladder for ladder in ladders.values()):
        # A single node is not worth leaving int8 for, though all of them together may be.
        halves = {name: _half(ladder) for name, ladder in ladders.items()}
        starts.append(halves)
    found = [_descended(costs, ladders, start) for start in starts]
    return min(found, key=costs.of)


def _half(ladder: tuple[Form, ...]) -> Form:
    return Form.FP16 if Form.FP16 in ladder else ladder[0]


def _descended(
    costs: CostModel, ladders: Mapping[str, tuple[Form, ...]], forms: dict[str, Form]
) -> dict[str, Form]:
    best = costs.of(forms)
    for _ in range(3):
        before = best
        for name, ladder in ladders.items():
            for form in ladder:
                if form is forms[name] or _wasteful(form, ladder):
                    continue
                trial = forms | {name: form}
                cost = costs.of(trial)
                if cost < best * (1 - 1e-6):
                    forms, best = trial, cost
        if best >= before:
            break
    return forms


def _wasteful(form: Form, ladder: tuple[Form, ...]) -> bool:
    """fp32 where the weights could be kept in int8, or all of it in fp16: more bytes for the
    same work."""
    return form is Form.FP32 and (Form.WEIGHTS in ladder or Form.FP16 in ladder)
