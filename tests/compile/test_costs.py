"""What a mix of forms is thought to cost, and the cheapest one."""

from __future__ import annotations

import dataclasses

import pytest
from onnx import ModelProto, NodeProto

from int8_graphs import everything, ranges
from odd_models import feed, model, node, port, weights
from yardarm import profiles
from yardarm.compile.quantization.forms import Form
from yardarm.compile.searching.costs import Costs, Rates, cheapest, rates
from yardarm.compile.searching.subject import ladders

PI = rates(profiles.load("raspberry-pi-5").cpu)


def costs(of: ModelProto, symmetric: bool = False, chosen: Rates = PI) -> Costs:
    sample = feed(of, 1)
    elements = {name: float(values.size) for name, values in everything(of, sample).items()}
    return Costs(of, elements, ranges(of, sample), chosen, symmetric)


def chosen(of: ModelProto) -> dict[str, Form]:
    known = costs(of)
    return cheapest(known, ladders(of, set(known.ranges)))


def convolutions(*between: NodeProto, end: str) -> ModelProto:
    """Two convolutions of 32 channels with something between `a` and `end`."""
    nodes = [
        node("Conv", ["x", "v"], ["a"], name="first", pads=[1, 1, 1, 1]),
        *between,
        node("Conv", [end, "w"], ["y"], name="last", pads=[1, 1, 1, 1]),
    ]
    constant = [weights("v", 32, 32, 3, 3), weights("w", 32, 32, 3, 3)]
    ports = [port("x", "n", 32, 16, 16)], [port("y", "n", 32, 16, 16)]
    return model(nodes, *ports, constant, 13)


def test_a_chain_of_convolutions_is_int8_from_end_to_end() -> None:
    residual = convolutions(
        node("Relu", ["a"], ["r"], name="clamp"),
        node("Add", ["r", "x"], ["s"], name="sum"),
        end="s",
    )
    assert chosen(residual) == dict.fromkeys(["first", "sum", "last"], Form.STATIC)


def test_a_lonely_sum_stays_in_fp32() -> None:
    nodes = [
        node("Sigmoid", ["x"], ["a"], name="one"),
        node("Tanh", ["x"], ["b"], name="two"),
        node("Add", ["a", "b"], ["s"], name="sum"),
        node("Sigmoid", ["s"], ["y"], name="three"),
    ]
    lonely = model(nodes, [port("x", "n", 64, 64)], [port("y", "n", 64, 64)], [], 13)
    assert chosen(lonely) == {"sum": Form.FP32}
    known = costs(lonely)
    assert known.of({"sum": Form.STATIC}) > known.of({})


def test_weights_are_never_fp32_where_they_can_be_int8() -> None:
    """Also where to dequantize them takes longer than it saves."""
    only = node("ConvTranspose", ["x", "w"], ["y"], name="up")
    ports = [port("x", "n", 8, 16, 16)], [port("y", "n", 8, 18, 18)]
    of = model([only], *ports, [weights("w", 8, 8, 3, 3)], 13)
    assert costs(of).of({"up": Form.WEIGHTS}) > costs(of).of({})
    assert chosen(of) == {"up": Form.WEIGHTS}


def test_changes_between_int8_and_fp32_cost() -> None:
    """A softsign in between has its input dequantized and its output quantized."""
    joined = convolutions(end="a")
    apart = convolutions(node("Softsign", ["a"], ["s"], name="soft"), end="s")
    both = {"first": Form.STATIC, "last": Form.STATIC}
    plain = {name: costs(of).of({}) for name, of in (("joined", joined), ("apart", apart))}
    one, other = costs(joined).of(both), costs(apart).of(both)
    softsign = plain["apart"] - plain["joined"]
    values = 32 * 16 * 16
    changes = values / PI.quantized + values / PI.dequantized + 2 * PI.node
    assert other - one - softsign == pytest.approx(changes)


def test_a_clamp_that_rounding_takes_in_is_free() -> None:
    clamped = convolutions(node("Relu", ["a"], ["r"], name="clamp"), end="r")
    both = {"first": Form.STATIC, "last": Form.STATIC}
    assert costs(clamped).of(both) == pytest.approx(costs(convolutions(end="a")).of(both))
    assert costs(clamped, symmetric=True).of(both) > costs(clamped).of(both)


def test_int8_pays_more_with_dot_products() -> None:
    cpu = profiles.load("raspberry-pi-5").cpu
    without = dataclasses.asdict(rates(cpu.model_copy(update={"features": ("fp", "asimd")})))
    assert {n for n, rate in dataclasses.asdict(PI).items() if rate != without[n]} == {
        "int8_products"
    }
    assert PI.int8_products > without["int8_products"] > without["float_products"]


@pytest.mark.parametrize(
    ("op", "weight", "inputs", "products"),
    [
        ("Conv", (6, 2, 3, 3), (1, 4, 8, 8), 6 * 6 * 6 * 2 * 9),
        ("ConvTranspose", (4, 6, 3, 3), (1, 4, 8, 8), 4 * 8 * 8 * 6 * 9),
        ("Gemm", (8, 5), (3, 8), 3 * 8 * 5),
        ("MatMul", (8, 5), (2, 3, 8), 2 * 3 * 8 * 5),
        ("LSTM", (1, 24, 8), (7, 1, 8), 7 * 24 * (8 + 6)),
    ],
)
def test_multiplications_are_counted(
    op: str, weight: tuple[int, ...], inputs: tuple[int, ...], products: int
) -> None:
    settings = {"Conv": {"group": 2}, "LSTM": {"hidden_size": 6}}.get(op, {})
    constant = [weights("w", *weight), *([weights("r", 1, 24, 6)] if op == "LSTM" else [])]
    only = node(op, ["x", *(tensor.name for tensor in constant)], ["y"], name="n", **settings)
    of = model([only], [port("x", *inputs)], [port("y")], constant, 13)
    of.graph.output[0].type.tensor_type.ClearField("shape")
    known = costs(of)
    assert known.products(only, {tensor.name: tensor for tensor in constant}) == products


def test_multiplications_of_two_activations_are_counted() -> None:
    ports = [port("x", 3, 8), port("z", 8, 5)], [port("y", 3, 5)]
    both = model([node("MatMul", ["x", "z"], ["y"], name="n")], *ports, [], 13)
    assert costs(both).products(both.graph.node[0], {}) == pytest.approx(3 * 8 * 5)
