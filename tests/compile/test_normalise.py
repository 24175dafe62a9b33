"""Models from every exporter come out within the target's operator sets, tidy, and answer
as they did."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import odd_models
from odd_models import TRAPS, feed, held, node, port, weights
from small_models import convolutions, images
from yardarm import profiles
from yardarm.compile.normalising import agreement, graphs
from yardarm.compile.normalising.normalise import normalise
from yardarm.compile.session import Engine
from yardarm.compile.sources import importing, operators
from yardarm.errors import InvalidInput, Unsupported, VerificationFailed

LOADED = [profiles.load(name).runtime for name in profiles.names()]
RANGES = sorted({(runtime.opset_min, runtime.opset_max) for runtime in LOADED})
NEWEST = onnx.defs.onnx_opset_version() - 2  # onnxruntime follows some months later


def names(values: object) -> list[str]:
    return [value.name for value in values]  # type: ignore[attr-defined]


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(entry.op_type for entry in model.graph.node)


@pytest.mark.parametrize("bounds", RANGES, ids=str)
@pytest.mark.parametrize("opset", [*range(9, 14), 15, 17, 20, 22, NEWEST])
def test_no_operator_set_leaves_a_profiles_range(opset: int, bounds: tuple[int, int]) -> None:
    model, sample = convolutions(opset=opset), {"x:0": images(1, 4)}
    found = normalise(model, *bounds, sample)
    assert bounds[0] <= importing.opset(found) <= bounds[1]
    assert found.ir_version <= 10
    assert importing.opset(found) in (opset, *bounds)
    assert "BatchNormalization" not in kinds(found)
    assert not agreement.difference(Engine(model).run(sample), Engine(found).run(sample))


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("bounds", [(13, 13), (14, 21), (21, 21)], ids=str)
def test_traps_of_real_exporters(trap: str, bounds: tuple[int, int], tmp_path: Path) -> None:
    onnx.save(TRAPS[trap](), tmp_path / "model.onnx")
    model = importing.load(tmp_path / "model.onnx")
    sample = feed(model)
    found = normalise(model, *bounds, sample)
    assert bounds[0] <= importing.opset(found) <= bounds[1]
    assert not found.functions
    assert names(found.graph.output) == names(model.graph.output)
    filled = set(names(model.graph.initializer))
    assert names(found.graph.input) == [n for n in names(model.graph.input) if n not in filled]
    assert "Constant" not in kinds(found)
    assert len(set(names(found.graph.node))) == len(found.graph.node)
    assert not agreement.difference(Engine(model).run(sample), Engine(found).run(sample))


def test_what_nobody_needs_is_gone() -> None:
    model = odd_models.leftovers()
    found = normalise(model, 13, 13, feed(model))
    assert kinds(found) == {"MatMul": 1, "Relu": 1, "Identity": 1}
    assert names(found.graph.initializer) == ["w"]


def test_every_bias_has_one_reader_and_weights_one_axis() -> None:
    model = odd_models.shared()
    found = normalise(model, 13, 13, feed(model))
    counted = graphs.uses(found.graph)
    read = [entry.input[2] for entry in found.graph.node if len(entry.input) > 2]
    assert len(read) == 4 and all(counted[name] == 1 for name in read)
    matrices = [entry.input[1] for entry in found.graph.node if entry.op_type == "Gemm"]
    assert len(set(matrices)) == 2
    convolved = [entry.input[1] for entry in found.graph.node if entry.op_type == "Conv"]
    assert len(set(convolved)) == 1


@pytest.mark.parametrize("form", ["after", "before", "times", "min"])
@pytest.mark.parametrize(
    ("bounds", "wanted"),
    [
        ((13, 13), {"Conv": 1, "HardSigmoid": 1, "Mul": 1}),
        ((13, 21), {"Conv": 1, "HardSwish": 1}),
    ],
    ids=str,
)
def test_spelled_out_hard_swish_is_put_together(
    form: str, bounds: tuple[int, int], wanted: dict[str, int]
) -> None:
    model = odd_models.hard_swish(form)
    assert kinds(normalise(model, *bounds, feed(model))) == wanted


def test_what_only_looks_like_hard_swish_stays() -> None:
    model = odd_models.hard_swish("after")
    for tensor in model.graph.initializer:
        if tensor.name == "three":
            tensor.CopyFrom(held("three", 2.9))
    assert kinds(normalise(model, 13, 21, feed(model)))["Clip"] == 1


def test_metadata_and_authors_are_kept() -> None:
    model = convolutions(opset=9)
    model.producer_name, model.doc_string, model.model_version = "them", "theirs", 7
    found = normalise(model, 13, 21, {"x:0": images(1, 2)})
    assert {entry.key: entry.value for entry in found.metadata_props} == {"owner": "the user"}
    assert (found.producer_name, found.doc_string, found.model_version) == ("them", "theirs", 7)


def test_the_same_model_gives_the_same_bytes() -> None:
    made = [normalise(convolutions(), 13, 21, {"x:0": images(1, 2)}) for _ in range(2)]
    assert made[0].SerializeToString(deterministic=True) == made[1].SerializeToString(
        deterministic=True
    )


def test_types_are_known_also_beyond_onnxs_own_operators() -> None:
    model = odd_models.runtime_operator()
    model.graph.node.append(node("Relu", ["y"], ["z"]))
    model.graph.node.append(node("Neg", ["z"], ["end"]))
    model.graph.output[0].CopyFrom(port("end", "n", 4))
    found = normalise(model, 13, 21, feed(model))
    assert {"flat", "y", "z"} <= set(names(found.graph.value_info))


def test_a_huge_filled_tensor_is_not_stored() -> None:
    nodes = [node("ConstantOfShape", ["shape"], ["zeros"]), node("Add", ["x", "zeros"], ["y"])]
    shape = held("shape", [1200, 1200], np.int64)
    model = odd_models.model(nodes, [port("x", 1, 1)], [port("y", 1200, 1200)], [shape], 13)
    found = normalise(model, 13, 21, {"x": np.ones((1, 1), np.float32)})
    assert found.ByteSize() < 10_000


def test_control_flow_is_left_alone_and_named() -> None:
    found = normalise(odd_models.branches(), 13, 13, feed(odd_models.branches()))
    assert operators.control_flow(found) == ["choice"]
    assert operators.control_flow(convolutions()) == []


def test_external_data_come_with_the_model(tmp_path: Path) -> None:
    onnx.save(
        convolutions(),
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
        convert_attribute=True,
    )
    assert (tmp_path / "weights.bin").stat().st_size > 1000
    model = importing.load(tmp_path / "model.onnx")
    sample = {"x:0": images(1, 2)}
    expected = Engine(convolutions()).run(sample)
    assert not agreement.difference(expected, Engine(normalise(model, 13, 21, sample)).run(sample))
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InvalidInput, match=r"weights\.bin"):
        importing.load(tmp_path / "model.onnx")


def test_a_custom_operator_is_named(tmp_path: Path) -> None:
    onnx.save(odd_models.custom(), tmp_path / "model.onnx")
    with pytest.raises(Unsupported, match=r"node here: .*Fancy in domain acme") as caught:
        importing.load(tmp_path / "model.onnx")
    assert caught.value.exit_code == 10


def test_a_custom_operator_inside_a_function_is_named(tmp_path: Path) -> None:
    model = odd_models.functions()
    model.functions[0].node[0].op_type = "Fancy"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(Unsupported, match=r"output 'b': .*Fancy in ONNX's own domain"):
        importing.load(tmp_path / "model.onnx")


def test_shapes_that_a_model_leaves_out(tmp_path: Path) -> None:
    model = odd_models.branches()
    onnx.save(model, tmp_path / "model.onnx")
    (output,) = importing.outputs(importing.load(tmp_path / "model.onnx"))
    assert output.shape == (None, 4)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(Unsupported, match=r"x: .*how many axes"):
        importing.load(tmp_path / "model.onnx")


def test_outputs_must_be_tensors(tmp_path: Path) -> None:
    element = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, ["n", 4])
    output = onnx.helper.make_value_info("y", onnx.helper.make_sequence_type_proto(element))
    model = odd_models.model(
        [node("SequenceConstruct", ["x"], ["y"])], [port("x", "n", 4)], [output]
    )
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(Unsupported, match=r"y: inputs and outputs must be tensors"):
        importing.load(tmp_path / "model.onnx")


def test_an_old_file_may_leave_initializers_out_of_its_inputs(tmp_path: Path) -> None:
    model = odd_models.old_file()
    del model.graph.input[1]
    onnx.save(model, tmp_path / "model.onnx")
    loaded = importing.load(tmp_path / "model.onnx")
    assert importing.opset(normalise(loaded, 13, 21, feed(loaded))) == 13


def test_a_model_without_onnxs_own_operators_gets_its_set() -> None:
    nodes = [node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[1.0], scale=[2.0])]
    model = odd_models.model(nodes, [port("x", "n", 3)], [port("y", "n", 3)])
    del model.opset_import[:]
    model.opset_import.extend([onnx.helper.make_opsetid("ai.onnx.ml", 1)])
    found = normalise(model, 13, 21, feed(model))
    assert {entry.domain: entry.version for entry in found.opset_import} == {
        "": 13,
        "ai.onnx.ml": 1,
    }


def test_sets_that_onnxruntime_no_longer_runs() -> None:
    nodes = [node("Add", ["x", "w"], ["y"], broadcast=1)]
    weight = [held("w", [1, 2, 3])]
    model = odd_models.model(nodes, [port("x", "n", 3)], [port("y", "n", 3)], weight, 6)
    with pytest.raises(Unsupported, match=r"operator set 6 is too old for onnxruntime"):
        normalise(model, 13, 21, feed(model))


def test_an_operator_that_onnxruntime_lacks_is_named() -> None:
    model = odd_models.runtime_operator()
    model.graph.node[1].op_type, model.graph.node[1].name = "Nonesuch", "there"
    with pytest.raises(Unsupported, match=r"node there: .*Nonesuch in domain com.microsoft"):
        normalise(model, 13, 21, feed(model))


def test_an_operator_of_a_newer_set_has_no_way_down() -> None:
    nodes = [
        node("Cast", ["x"], ["whole"], to=onnx.TensorProto.INT32),
        node("BitwiseNot", ["whole"], ["turned"]),
        node("Cast", ["turned"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    model = odd_models.model(nodes, [port("x", "n", 4)], [port("y", "n", 4)], opset=20)
    with pytest.raises(Unsupported, match=r"operator set 20 to 17: .*BitwiseNot"):
        normalise(model, 13, 17, feed(model))


def test_a_wrong_change_is_found_and_the_output_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: onnx.ModelProto, want: int) -> onnx.ModelProto:
        changed = convert(model, want)
        for tensor in changed.graph.initializer:
            if tensor.name == "w":
                tensor.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(tensor), "w"))
        return changed

    convert = onnx.version_converter.convert_version
    monkeypatch.setattr(onnx.version_converter, "convert_version", wrong)
    nodes = [node("Squeeze", ["x"], ["a"], axes=[1]), node("MatMul", ["a", "w"], ["y"])]
    model = odd_models.model(
        nodes, [port("x", "n", 1, 4)], [port("y", "n", 3)], [weights("w", 4, 3)], 11
    )
    with pytest.raises(VerificationFailed, match=r"output 'y' differs by up to"):
        normalise(model, 13, 14, feed(model))
