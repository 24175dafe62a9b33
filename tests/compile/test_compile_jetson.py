"""`yardarm compile` for a Jetson: what the bundle tells the device, and how models are refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

ORIN = ("--profile", "jetson-orin-nano-8gb")


def manifest(folder: Path, cli: Any, *more: str) -> dict[str, Any]:
    cli("compile", *ORIN, *more, "--output", folder / "out", cwd=folder)
    found: dict[str, Any] = json.loads((folder / "out" / "manifest.json").read_text())
    return found


def types(folder: Path) -> set[int]:
    model = onnx.load(folder / "out" / "model.onnx")
    values = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.value_info
    return {value.type.tensor_type.elem_type for value in values}


def forms(found: Mapping[str, Any]) -> dict[str, str]:
    return {node["name"]: node["precision"] for node in found["nodes"]}


def test_the_bundle_is_typed_and_tells_how_to_build(small: Any, cli: Any) -> None:
    folder = small()
    found = manifest(folder, cli)
    assert found["target"] == "tensorrt"
    assert found["model"]["opset"] == 19
    told = found["tensorrt"]
    assert (told["version"], told["strongly_typed"]) == ("10.3", True)
    assert told["flags"] == told["float32"] == []
    one = [1, 3, 12, 12]
    assert told["profiles"] == {"x:0": {"min": one, "opt": one, "max": [16, 3, 12, 12]}}
    assert told["workspace_mb"] > 100
    assert set(forms(found).values()) <= {"fp16", "int8", "fp32"}
    assert "fp16" in forms(found).values()
    assert TensorProto.FLOAT16 in types(folder)
    assert "float16 are rounded" in found["accuracy"]["measured"]
    assert found["accuracy"]["after"]["value"] > 0.9


def test_the_terminal_says_what_was_measured_where(small: Any, cli: Any) -> None:
    folder = small()
    said = cli("compile", *ORIN, cwd=folder).stdout
    assert "measured with onnxruntime on the host" in said
    assert "the device builds the engine with TensorRT 10.3" in said
    assert max(map(len, said.splitlines())) <= 80
    again = cli("compile", *ORIN, "--json", cwd=folder).json
    assert again["cached"] is True


def test_an_older_jetpack_gets_float32_and_flags(small: Any, cli: Any) -> None:
    folder = small(extra='[tensorrt]\njetpack = "5.1"\nworkspace_mb = 77\noptimization_level = 0\n')
    found = manifest(folder, cli)
    told = found["tensorrt"]
    assert (told["version"], told["strongly_typed"]) == ("8.5", False)
    assert "fp16" in told["flags"]
    assert (told["workspace_mb"], told["optimization_level"]) == (77, 0)
    assert found["model"]["opset"] <= 17
    assert TensorProto.FLOAT16 not in types(folder)


def test_an_unknown_jetpack_is_told_with_those_that_are_known(small: Any, cli: Any) -> None:
    folder = small(extra='[tensorrt]\njetpack = "9"\n')
    done = cli("compile", *ORIN, cwd=folder, code=3)
    assert "there is no JetPack 9" in done.stderr
    assert "6.1 to 6.2.2" in done.stderr


def test_wrong_shapes_are_told_before_the_search(small: Any, cli: Any) -> None:
    folder = small(extra='[tensorrt]\nmax_shapes = { "x:0" = [16, 3, 12, 13] }\n')
    done = cli("compile", *ORIN, cwd=folder, code=3)
    assert "shapes of 'x:0' don't fit it" in done.stderr
    assert "calibrate" not in done.stderr


def project(folder: Path, model: ModelProto, x: np.ndarray, label: np.ndarray, extra: str) -> Path:
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    np.savez(folder / "calibration.npz", x=x)
    np.savez(folder / "evaluation.npz", x=x, label=label)
    (folder / "yardarm.toml").write_text(
        '[model]\nsource = "model.onnx"\n[data]\ncalibration = "calibration.npz"\n'
        'evaluation = "evaluation.npz"\n' + extra
    )
    return folder


def squares(opset: int = 17) -> ModelProto:
    """Scores of which one is a mean of squares: x up to 500, whose squares float16 can't hold."""
    held = {
        "w": np.array([[1.0, -1.0], [0.5, 0.2], [-0.3, 0.4], [0.1, -0.2]], np.float32),
        "tiny": np.array([1e-3], np.float32),
    }
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["squares"], "square"),
        helper.make_node("ReduceMean", ["squares"], ["mean"], "mean", axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "tiny"], ["scaled"], "scale"),
        helper.make_node("MatMul", ["x", "w"], ["product"], "product"),
        helper.make_node("Add", ["product", "scaled"], ["y"], "sum"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(values, name) for name, values in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def test_what_overflows_float16_over_the_data_stays_float32(tmp_path: Path, cli: Any) -> None:
    x = np.random.default_rng(0).uniform(-500, 500, (300, 4)).astype(np.float32)
    label = (x @ np.array([1 + 1, 0.5 - 0.2, -0.7, 0.3])).astype(np.float32) < 0
    folder = project(tmp_path / "squares", squares(), x, label.astype(np.int64), "")
    bundle = manifest(folder, cli)
    found = forms(bundle)
    assert (found["square"], found["mean"]) == ("fp32", "fp32")
    assert "fp16" in found.values()
    counted = Counter(found.values())
    said = cli("compile", *ORIN, cwd=folder).stdout
    assert f"nodes  {counted['fp16']} fp16, {counted['fp32']} fp32" in said
    old = project(folder, squares(), x, label.astype(np.int64), '[tensorrt]\njetpack = "6.0"\n')
    told = manifest(old, cli)
    exact = {told["names"]["nodes"][name] for name in told["tensorrt"]["float32"]}
    assert {"square", "mean"} <= exact
    assert exact < set(forms(told))


def test_all_that_the_target_refuses_is_told_at_once(tmp_path: Path, cli: Any) -> None:
    model = squares()
    model.graph.node.insert(
        0, helper.make_node("Compress", ["x", "some"], ["picked"], "picks", axis=1)
    )
    model.graph.node.append(helper.make_node("Compress", ["y", "few"], ["rest"], "again", axis=1))
    model.graph.output[0].name = "rest"
    model.graph.output[0].type.tensor_type.shape.dim[1].ClearField("dim_value")
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.ones(4, bool), "some"),
            numpy_helper.from_array(np.ones(2, bool), "few"),
        ]
    )
    x = np.random.default_rng(0).normal(0, 1, (60, 4)).astype(np.float32)
    folder = project(tmp_path / "odd", model, x, np.zeros(60, np.int64), "")
    done = cli("compile", *ORIN, cwd=folder, code=10)
    assert "picks" in done.stderr
    assert "again" in done.stderr
    assert "Compress" in done.stderr
    assert not (folder / "out").exists()


def test_what_only_the_real_parser_refuses_is_told_before_a_bundle_is_there(
    tmp_path: Path, cli: Any
) -> None:
    held = {"first": np.zeros((80, 1), np.int64), "by": np.full((80, 1), 2, np.float32)}
    scatter = helper.make_node(
        "ScatterElements", ["x", "first", "by"], ["y"], "scatter", axis=1, reduction="mul"
    )
    graph = helper.make_graph(
        [scatter],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [80, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [80, 2])],
        [numpy_helper.from_array(values, name) for name, values in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    x = np.random.default_rng(0).normal(0, 1, (80, 2)).astype(np.float32)
    label = (2 * x[:, 0] < x[:, 1]).astype(np.int64)
    folder = project(tmp_path / "scatter", model, x, label, "")
    done = cli("compile", "--profile", "jetson-agx-thor", cwd=folder, code=10)
    assert "TensorRT-RTX" in done.stderr
    assert "reduction" in done.stderr
    said = cli("compile", *ORIN, cwd=folder)  # older: a refusal of the newer one is a warning
    assert "TensorRT-RTX" in said.stderr
    # onnxruntime has no float16 kernel of it either: the file can't be tried here.
    assert "runs on the device alone" in said.stderr
