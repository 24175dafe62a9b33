"""What DLA cores would take, and into how many pieces a model would fall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from readiness_models import IMAGE, constant, dynamic, model, node, quantized, value, weight
from yardarm import profiles
from yardarm.compile import readiness
from yardarm.compile.readiness import Dla, Readiness


def checked(
    given: ModelProto, name: str = "jetson-orin-nx-16gb", jetpack: str = "6.2", **options: Any
) -> Readiness:
    profile = profiles.load(name)
    return readiness.check(given, profile, profiles.release_for(profile, jetpack), **options)


def dla(given: ModelProto, *where: str, **options: Any) -> Dla:
    found = checked(given, *where, **options).dla
    assert found
    return found


def chain(*ops: str, batch: int | str = 1, size: int = 8, **settings: Any) -> ModelProto:
    """One operator after the other on an image, those named Conv with a 1 × 1 kernel."""
    nodes = []
    for place, op in enumerate(ops):
        reads = [f"t{place}", "w"] if op == "Conv" else [f"t{place}"]
        nodes.append(
            node(op, reads, [f"t{place + 1}"], name=f"{op}{place}", **settings.get(op, {}))
        )
    shape = [batch, 4, size, size]
    ends = [value("t0", shape)], [value(f"t{len(ops)}", shape)]
    return model(nodes, *ends, [weight(shape=(4, 4, 1, 1))])


@pytest.mark.parametrize(
    ("ops", "eligible", "pieces"),
    [
        (("Conv", "Relu"), 2, 1),
        (("Conv", "Erf", "Relu"), 2, 2),
        (("Conv", "Erf", "Erf", "Relu", "Conv"), 3, 2),
        (("Erf", "Relu"), 1, 1),
        (("Erf",), 0, 0),
    ],
)
def test_pieces_of_a_chain(ops: tuple[str, ...], eligible: int, pieces: int) -> None:
    found = dla(chain(*ops))
    assert (found.eligible, found.loadables, found.nodes) == (eligible, pieces, len(ops))
    assert set(found.stays.values()) <= {"DLA has no such operator"}


def joined(way: str) -> ModelProto:
    """x → Relu → (way, direct) → Add."""
    nodes = [
        node("Relu", ["x"], ["a"]),
        node(way, ["a"], ["b"], name="way"),
        node("Add", ["a", "b"], ["y"]),
    ]
    return model(nodes, [value("x", IMAGE)], [value("y", IMAGE)])


def test_what_waits_for_the_gpu_is_another_piece() -> None:
    assert dla(joined("Sigmoid")).loadables == 1
    assert dla(joined("Erf")).loadables == 2  # Add reads Relu and what the GPU made of it


def test_two_branches_are_pieces_of_their_own() -> None:
    nodes = [node("Relu", ["x"], ["a"]), node("Tanh", ["x"], ["b"])]
    given = model(nodes, [value("x", IMAGE)], [value("a", IMAGE), value("b", IMAGE)])
    assert dla(given).loadables == 2


@pytest.mark.parametrize(
    ("name", "jetpack", "present"),
    [
        ("jetson-orin-nx-16gb", "5.1", True),
        ("jetson-orin-nx-16gb", "6.2", True),
        ("jetson-orin-nx-16gb", "7.2", False),
        ("jetson-agx-xavier", "5.1", True),
    ],
)
def test_dla_by_version(name: str, jetpack: str, present: bool) -> None:
    found = dla(chain("Conv", "Relu"), name, jetpack)
    assert found.present is present
    assert found.worth is present
    assert bool(found.eligible) is present


def test_devices_without_dla_say_nothing_of_it() -> None:
    found = checked(chain("Erf", "Relu"), "jetson-orin-nano-8gb")
    assert found.dla is None
    assert not [each for each in found.findings if each.rule == "dla"]


def test_xavier_lacks_what_orin_has() -> None:
    given = chain("Relu", "Softmax")
    assert dla(given).eligible == 2
    found = dla(given, "jetson-agx-xavier", "5.1")
    assert found.stays == {"Softmax1": "Xavier's DLA has no such operator"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (chain("Relu", batch=4097), "a batch above 4,096"),
        (chain("Relu", size=8193), "a dimension above 8,192"),
        (
            chain("MaxPool", MaxPool={"kernel_shape": [9, 9], "pads": [4] * 4}),
            "its kernel is too large",
        ),
        (
            model(
                [node("Relu", ["x"], ["y"], name="Relu0")],
                [value("x", IMAGE, TensorProto.INT32)],
                [value("y", IMAGE, TensorProto.INT32)],
            ),
            "INT32, where DLA has fp16 and int8",
        ),
        (
            model(
                [node("Concat", ["x", "x"], ["y"], name="Concat0", axis=2)],
                [value("x", IMAGE)],
                [value("y", [1, 4, 16, 8])],
            ),
            "Concat on another axis than the channels",
        ),
        (
            model(
                [node("ConvTranspose", ["x", "w"], ["y"], name="up", pads=[1, 1, 1, 1])],
                [value("x", IMAGE)],
                [value("y", IMAGE)],
                [weight()],
            ),
            "ConvTranspose with padding",
        ),
        (
            model(
                [node("MatMul", ["x", "x"], ["y"], name="product")],
                [value("x", IMAGE)],
                [value("y", IMAGE)],
            ),
            "its weights are computed",
        ),
    ],
)
def test_limits_are_told(given: ModelProto, why: str) -> None:
    assert list(dla(given).stays.values()) == [why]


def test_a_dynamic_batch_is_taken_for_the_profile_s_or_one() -> None:
    given = chain("Conv", "Relu", batch="n")
    assert dla(given).eligible == 2
    shapes = {"t0": {"min": [1, 4, 8, 8], "opt": [5000, 4, 8, 8], "max": [5000, 4, 8, 8]}}
    assert dla(given, profiles=shapes).eligible == 0


def test_other_dynamic_axes_have_no_answer() -> None:
    found = dla(dynamic("m"))
    assert (found.eligible, found.worth) == (0, False)
    assert "dynamic" in found.verdict


def test_explicit_quantization_keeps_it_on_the_gpu() -> None:
    found = dla(quantized())
    assert not found.worth
    assert "explicit Q/DQ" in found.verdict


def test_many_pieces_are_not_worth_it() -> None:
    five = dla(chain(*["Conv", "Erf"] * 5))
    assert (five.loadables, five.worth) == (5, False)
    many = dla(chain(*["Conv", "Erf"] * 17))
    assert (many.loadables, many.worth) == (17, False)
    assert "16 loadables" in many.verdict


def test_little_of_the_work_is_not_worth_it() -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), node("MatMul", ["a", "a"], ["y"])]
    given = model(nodes, [value("x", IMAGE)], [value("y", IMAGE)], [weight(shape=(4, 4, 1, 1))])
    assert dla(given).verdict.startswith("50%")
    assert dla(chain("Relu")).verdict == "nothing in it multiplies"


def test_constants_don_t_count() -> None:
    nodes = [node("Erf", ["c"], ["k"]), node("Add", ["x", "k"], ["y"])]
    held = [constant("c", np.ones(IMAGE, np.float32))]
    given = model(nodes, [value("x", IMAGE)], [value("y", IMAGE)], held)
    assert (dla(given).nodes, dla(given).loadables) == (1, 1)


def test_notes_gather_nodes_of_one_reason() -> None:
    found = checked(chain("Conv", "Erf", "Erf", "Relu"))
    (note,) = [each for each in found.findings if each.rule == "dla"]
    assert (note.node, note.op) == ("Erf1", "Erf")
    assert note.what.startswith("DLA has no such operator (2 nodes)")
