"""What a mix of forms costs a Jetson's GPU, where no device can be asked.

A model of multiplications, bytes and kernels in cycles at about 1 GHz. It ranks mixes; it was
never fitted to a board, and no time is claimed from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from onnx import NodeProto, TensorProto

from yardarm.compile.normalising import graphs
from yardarm.compile.quantization.forms import Form, constants
from yardarm.compile.quantization.grids import GRIDS
from yardarm.compile.quantization.placement import readers_of
from yardarm.compile.quantization.plan import Plan
from yardarm.compile.searching.costs import FREE, Costs
from yardarm.profiles import Profile

KERNEL = 4_000.0  # cycles that starting a kernel takes
BYTES = {Form.FP8: 1, Form.STATIC: 1, Form.FP16: 2, Form.FP32: 4}
# Multiplications of a CUDA core and its share of the tensor cores in a cycle, half of the peak:
# float32 stays float32, for TF32 is switched off where float16 was too rough already.
PRODUCTS = {Form.FP8: 8.0, Form.STATIC: 8.0, Form.FP16: 4.0, Form.FP32: 0.5}
# The engine computes these on the way out of the kernel before them.
FUSED = frozenset(
    {"Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish",
     "Add", "Sub", "Mul", "Div", "Erf", "Exp", "Sqrt", "Pow", "Neg", "Abs", "Min", "Max"}
)  # fmt: skip


@dataclass(frozen=True)
class GpuCosts:
    """Costs of forms for one model.

    Attributes:
        work: tells multiplications and sizes.
        plan: its forms are not looked at.
        cores: CUDA cores.
        bandwidth: bytes of memory in a cycle.
    """

    work: Costs
    plan: Plan
    cores: int
    bandwidth: float

    def of(self, forms: Mapping[str, Form]) -> float:
        """Cycles for one sample."""
        return sum(self._node(node, forms) for node in self.work.model.graph.node)

    @cached_property
    def _known(self) -> Mapping[str, TensorProto]:
        return constants(self.work.model)

    @cached_property
    def _readers(self) -> Mapping[str, list[NodeProto]]:
        return readers_of(self.work.model)

    @cached_property
    def _makers(self) -> Mapping[str, NodeProto]:
        return graphs.producers(self.work.model.graph)

    def _node(self, node: NodeProto, forms: Mapping[str, Form]) -> float:
        if node.op_type in FREE:
            return 0.0
        form = forms.get(node.name, Form.FP32)
        inner = self._inner(node, form)
        products = self.work.products(node, self._known)
        read = [name for name in node.input if name]
        if node.op_type in FUSED and self._follows(node):
            inside = self._bytes(read[1:], node, form)
            return inside / self.bandwidth + self._conversions(node, forms, form)
        moved = self._bytes(read, node, form) + self._left(node, forms, inner)
        rate = min(PRODUCTS[form], PRODUCTS[Form.FP16]) if self._apart(node) else PRODUCTS[form]
        arithmetic = products / (rate * self.cores)
        kernel = max(arithmetic, moved / self.bandwidth) + KERNEL
        return kernel + self._conversions(node, forms, form)

    def _inner(self, node: NodeProto, form: Form) -> Form:
        """What a node's results are in, as long as nobody wants them in int8."""
        if form not in GRIDS:
            return form
        half = self.plan.tensorrt is not None and node.name in self.plan.tensorrt.fit
        return Form.FP16 if half else Form.FP32

    def _follows(self, node: NodeProto) -> bool:
        """Whether a node is the only one behind another that takes it along."""
        name = node.input[0]
        return name in self._makers and len(self._readers[name]) == 1

    def _apart(self, node: NodeProto) -> bool:
        """A convolution by channels: tensor cores don't take it."""
        weight = self._known.get(node.input[1]) if len(node.input) > 1 else None
        return node.op_type == "Conv" and weight is not None and weight.dims[1] == 1

    def _bytes(self, names: list[str], node: NodeProto, form: Form) -> float:
        width = BYTES[form]
        return sum(
            math.prod(self._known[name].dims) * width
            if name in self._known
            else self.work.size(name) * width
            for name in names
        )

    def _left(self, node: NodeProto, forms: Mapping[str, Form], inner: Form) -> float:
        """Bytes of results: int8 where all that read them take that."""
        readers = self._readers.get(node.output[0], [])
        low = readers and all(forms.get(each.name) in GRIDS for each in readers)
        return self.work.size(node.output[0]) * BYTES[Form.STATIC if low else inner]

    def _conversions(self, node: NodeProto, forms: Mapping[str, Form], form: Form) -> float:
        """Kernels of their own for what is read in another type than it was made in. What int8
        kernels hand each other is converted on the way out of them."""
        cost = 0.0
        for name in node.input:
            if not name or name in self._known or not self.work.size(name):
                continue
            maker = self._makers.get(name)
            made = forms.get(maker.name, Form.FP32) if maker is not None else Form.FP32
            inside = self._inner(maker, made) if maker is not None else made
            if form in GRIDS and (made is form or self._ends_in(maker, forms, form)):
                continue
            if form is not inside:
                cost += KERNEL + self.work.size(name) * (BYTES[form] + BYTES[inside]) / (
                    self.bandwidth
                )
        return cost

    def _ends_in(self, maker: NodeProto | None, forms: Mapping[str, Form], form: Form) -> bool:
        """What is fused behind an int8 kernel ends in int8 with it."""
        while maker is not None and maker.op_type in FUSED and self._follows(maker):
            maker = self._makers[maker.input[0]]
            if forms.get(maker.name) is form:
                return True
        return False


def gpu_costs(work: Costs, plan: Plan, profile: Profile) -> GpuCosts:
    assert profile.gpu is not None
    return GpuCosts(work, plan, profile.gpu.cores, profile.memory.bandwidth_gbs or 50.0)
