"""`yardarm compile` as users meet it: what it writes, what it says, how it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from small_models import images

PI = ("--profile", "raspberry-pi-5")
FILES = {"model.onnx", "manifest.json", "statistics.json", "golden.npz", "report.html"}


def test_the_written_files_hold_a_per_channel_int8_model(small: Any, cli: Any) -> None:
    folder = small()
    told = cli("compile", *PI, "--output", folder / "out", "--json", cwd=folder).json
    assert {entry.name for entry in (folder / "out").iterdir()} == FILES
    model = onnx.load(folder / "out" / "model.onnx")
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 13}
    assert {entry.key: entry.value for entry in model.metadata_props} == {"owner": "the user"}
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = [
        (held[node.input[0]], held[node.input[1]])
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in held
    ]
    scales = [scale.shape for values, scale in weights if values.ndim == 4]
    assert scales == [(8,), (8,)]
    assert all(values.dtype == np.int8 for values, _ in weights if values.ndim > 1)
    assert told["accuracy"]["before"]["value"] == 1.0
    assert told["accuracy"]["after"]["value"] > 0.9
    assert told["size"]["source_bytes"] == (folder / "model.onnx").stat().st_size
    assert told["size"]["model_bytes"] == (folder / "out" / "model.onnx").stat().st_size
    assert told["reference"] == "bundle/small/raspberry-pi-5"


def test_the_manifest_tells_lineage_and_decisions(small: Any, cli: Any) -> None:
    folder = small()
    cli("compile", *PI, "--output", folder / "out", cwd=folder)
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert manifest["source"]["opset"] == 11
    assert manifest["model"]["opset"] == 13
    assert manifest["data"]["calibration"]["samples"] == 50
    assert manifest["inputs"] == [{"name": "x:0", "dtype": "float32", "shape": [None, 3, 12, 12]}]
    told = {node["op"]: node["precision"] for node in manifest["nodes"]}
    assert told["Conv"] == "int8"
    assert told["Softmax"] == "fp32"
    assert "BatchNormalization" not in told
    text = (folder / "out" / "manifest.json").read_text()
    assert str(folder) not in text
    statistics = json.loads((folder / "out" / "statistics.json").read_text())
    x = images_of(folder)
    seen = statistics["inputs"]["x:0"]
    assert (seen["low"], seen["high"]) == (float(x.min()), float(x.max()))
    assert seen["mean"] == pytest.approx(float(x.mean()), abs=1e-6)
    assert sum(seen["histogram"]["counts"]) == x.size
    assert seen["quantiles"]["0.5"] == pytest.approx(float(np.median(x)), abs=0.01)


def images_of(folder: Path) -> np.ndarray:
    with np.load(folder / "calibration.npz") as archive:
        return np.asarray(archive["x:0"])


def test_golden_answers_come_from_the_written_file(small: Any, cli: Any) -> None:
    folder = small()
    cli("compile", *PI, "--output", folder / "out", cwd=folder)
    session = onnxruntime.InferenceSession(
        str(folder / "out" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    with np.load(folder / "out" / "golden.npz") as golden:
        x, y, tolerance = golden["input/x:0"], golden["output/y"], golden["tolerance/y"]
    assert x.shape == (8, 3, 12, 12)
    np.testing.assert_allclose(session.run(["y"], {"x:0": x})[0], y, atol=1e-6)
    assert tolerance.dtype == np.float64
    assert 0 < tolerance[0] <= 0.05
    assert tolerance[1] == 0
    with np.load(folder / "evaluation.npz") as archive:
        known = {row.tobytes() for row in archive["x:0"]}
    assert {row.tobytes() for row in x} <= known


def test_a_repeated_compile_does_no_work(small: Any, cli: Any) -> None:
    folder = small()
    first = cli("compile", *PI, "--json", cwd=folder)
    again = cli("compile", *PI, "--json", cwd=folder)
    assert (first.json["cached"], again.json["cached"]) == (False, True)
    assert first.json["digest"] == again.json["digest"]
    assert "nothing to do" in again.stderr
    assert "calibrate" not in again.stderr


def test_the_same_inputs_give_the_same_digest(small: Any, cli: Any) -> None:
    folder = small()
    digests = []
    for seed in ("1", "2"):
        shutil.rmtree(folder / ".yardarm", ignore_errors=True)
        ran = cli("compile", *PI, "--json", cwd=folder, env={"PYTHONHASHSEED": seed})
        assert not ran.json["cached"]
        digests.append(ran.json["digest"])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("change", ["model", "calibration", "evaluation", "batch"])
def test_changed_inputs_are_compiled_anew(change: str, small: Any, cli: Any) -> None:
    folder = small()
    first = cli("compile", *PI, "--json", cwd=folder).json
    if change == "model":
        model = onnx.load(folder / "model.onnx")
        model.doc_string = "another"
        onnx.save(model, folder / "model.onnx")
    elif change == "batch":
        file = folder / "yardarm.toml"
        file.write_text(file.read_text().replace("batch = 16", "batch = 7"))
    else:
        with np.load(folder / f"{change}.npz") as archive:
            fewer = {name: archive[name][:-1] for name in archive.files}
        np.savez(folder / f"{change}.npz", **fewer)
    second = cli("compile", *PI, "--json", cwd=folder).json
    assert not second["cached"]
    assert second["digest"] != first["digest"]


def test_a_lost_blob_is_made_again(small: Any, cli: Any) -> None:
    folder = small()
    first = cli("compile", *PI, "--output", folder / "out", "--json", cwd=folder).json
    size = (folder / "out" / "model.onnx").stat().st_size
    blobs = folder / ".yardarm" / "store" / "blobs" / "sha256"
    (model,) = [blob for blob in blobs.iterdir() if blob.stat().st_size == size]
    model.unlink()
    again = cli("compile", *PI, "--json", cwd=folder).json
    assert (again["cached"], again["digest"]) == (False, first["digest"])


@pytest.mark.parametrize("batch", [1, 5])
def test_a_model_may_fix_its_batch(batch: int, small: Any, cli: Any) -> None:
    folder = small(batch=batch)
    told = cli("compile", *PI, "--output", folder / "out", "--json", cwd=folder).json
    assert told["accuracy"]["after"]["value"] > 0.9
    statistics = json.loads((folder / "out" / "statistics.json").read_text())
    assert sum(statistics["inputs"]["x:0"]["histogram"]["counts"]) == images_of(folder).size


def test_the_text_fits_80_columns(small: Any, cli: Any) -> None:
    folder = small()
    ran = cli("compile", *PI, "--output", "out", cwd=folder)
    assert max(len(line) for line in ran.stdout.splitlines()) <= 80
    assert "before" in ran.stdout
    assert "sha256:" in ran.stdout


def test_a_missed_budget_names_nothing(small: Any, cli: Any) -> None:
    folder = small(extra="[budget]\nmax_size_mb = 0.001\n")
    ran = cli("compile", *PI, "--output", folder / "out", "--json", cwd=folder, code=4)
    error = ran.json["error"]
    assert error["kind"] == "BudgetNotMet"
    assert "MB, max_size_mb is 0.001" in error["what"]
    assert not (folder / "out").exists()
    index = folder / ".yardarm" / "store" / "index.json"
    assert not index.exists() or json.loads(index.read_text())["manifests"] == []
    assert cli("compile", *PI, cwd=folder, code=4).stderr.startswith("compile")
    file = folder / "yardarm.toml"
    file.write_text(file.read_text().split("[budget]")[0])
    assert not cli("compile", *PI, "--json", cwd=folder).json["cached"]


def test_too_few_samples_for_a_budget_are_counted(small: Any, cli: Any) -> None:
    folder = small(extra="[budget]\nmax_drop = 0.005\n")
    ran = cli("compile", *PI, "--json", cwd=folder, code=11)
    assert ran.json["error"]["kind"] == "Undecided"
    what = ran.json["error"]["what"]
    assert what.startswith("96 evaluation samples can't decide a 0.5-point budget")
    assert "765 samples" in what
    assert "calibrate" not in ran.stderr


def truncate(folder: Path) -> None:
    data = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(data[: len(data) // 2])


def change(which: str, **arrays: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        with np.load(folder / f"{which}.npz") as archive:
            merged = {name: archive[name] for name in archive.files} | arrays
        kept = {name: array for name, array in merged.items() if array is not None}
        np.savez(folder / f"{which}.npz", **kept)

    return edit


def nan() -> np.ndarray:
    x = np.zeros((50, 3, 12, 12), np.float32)
    x[31, 1, 2, 3] = np.nan
    return x


def shaped(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.ones(shape, dtype)


BAD: dict[str, tuple[Callable[[Path], Any], int, str]] = {
    "missing": (lambda d: (d / "model.onnx").unlink(), 3, "no such model file"),
    "truncated": (truncate, 3, "not an ONNX model, or a truncated one"),
    "text": (lambda d: (d / "model.onnx").write_text("hello"), 3, "not an ONNX model"),
    "empty": (lambda d: (d / "model.onnx").write_bytes(b""), 3, "not an ONNX model"),
    "no data": (lambda d: (d / "calibration.npz").unlink(), 3, "no such data file"),
    "name": (change("calibration", **{"x:0": None, "z": shaped(4, 3, 12, 12)}), 3, "'x:0' has no"),
    "dtype": (
        change("evaluation", **{"x:0": shaped(96, 3, 12, 12, dtype=np.float64)}),
        3,
        "expected float32, found float64",
    ),
    "shape": (
        change("evaluation", **{"x:0": shaped(96, 12, 12, 3)}),
        3,
        "expected shape [samples, 3, 12, 12], found [96, 12, 12, 3]",
    ),
    "no labels": (change("evaluation", label=None), 3, "no array 'label' with the labels"),
    "float labels": (change("evaluation", label=np.zeros(96)), 3, "labels are integers"),
    "no samples": (change("calibration", **{"x:0": shaped(0, 3, 12, 12)}), 3, "no samples"),
    "nan": (change("calibration", **{"x:0": nan()}), 3, "sample 31 has NaN"),
    "zeros": (
        change("calibration", **{"x:0": 0 * shaped(50, 3, 12, 12)}),
        3,
        "every value is 0, which says nothing of the ranges to expect",
    ),
    "one sample": (
        change("calibration", **{"x:0": images(1, 1).repeat(9, axis=0)}),
        3,
        "all 9 samples are the same",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_nothing_written(case: str, small: Any, cli: Any) -> None:
    spoil, code, message = BAD[case]
    folder = small()
    spoil(folder)
    ran = cli("compile", *PI, "--output", folder / "out", cwd=folder, code=code)
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (folder / "out").exists()
    assert not (folder / ".yardarm" / "store" / "index.json").exists()
    assert {entry.name for entry in folder.iterdir()} <= {
        "model.onnx", "calibration.npz", "evaluation.npz", "yardarm.toml", ".yardarm",
    }  # fmt: skip


def test_an_unknown_output_is_named(small: Any, cli: Any) -> None:
    folder = small(extra='[metric]\noutput = "z"\n')
    assert "no output 'z' (it has: y)" in cli("compile", *PI, cwd=folder, code=3).stderr


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise KeyError('z')", "the metric mine:score raised KeyError: 'z'"),
        ("return labels[:-1] * 1.0", "returned an array [95] of float64, expected 96 scores"),
    ],
    ids=["raises", "misfits"],
)
def test_a_metric_of_the_projects_own_that_fails(
    body: str, message: str, small: Any, cli: Any
) -> None:
    folder = small(extra='[metric]\nname = "mine:score"\n')
    (folder / "mine.py").write_text(f"def score(outputs, labels):\n    {body}\n")
    ran = cli("compile", *PI, cwd=folder, code=3)
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "calibrate" not in ran.stderr


def test_bodies_of_if_stay_in_fp32_and_that_is_said(small: Any, cli: Any) -> None:
    """The rest is int8 as ever, and what a body reads of it is what int8 kernels made."""
    folder = small()
    model = onnx.load(folder / "model.onnx")
    then = onnx.helper.make_node("MatMul", ["f", "w3"], ["then"])
    other = onnx.helper.make_node("Neg", ["logits"], ["other"])
    bodies = {
        f"{node.output[0]}_branch": onnx.helper.make_graph(
            [node], "body", [], [onnx.helper.make_tensor_value_info(node.output[0], 1, None)]
        )
        for node in (then, other)
    }
    bodies["else_branch"] = bodies.pop("other_branch")
    low = numpy_helper.from_array(np.array(-1e9, np.float32), "low")
    softmax = model.graph.node.pop()
    softmax.input[0] = "chosen"
    model.graph.initializer.append(low)
    most = onnx.helper.make_node("ReduceMax", ["x:0"], ["most"], keepdims=0)
    greater = onnx.helper.make_node("Greater", ["most", "low"], ["yes"])
    choice = onnx.helper.make_node("If", ["yes"], ["chosen"], name="choice", **bodies)
    model.graph.node.extend([most, greater, choice, softmax])
    onnx.save(model, folder / "model.onnx")
    ran = cli("compile", *PI, "--output", folder / "out", "--json", cwd=folder)
    assert "choice" in ran.stderr
    assert ran.json["accuracy"]["after"]["value"] > 0.9
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    told = [node["precision"] for node in manifest["nodes"] if node["op"] == "Conv"]
    assert all(precision.startswith("int8") for precision in told)
    written = onnx.load(folder / "out" / "model.onnx")
    (kept,) = [node for node in written.graph.node if node.op_type == "If"]
    held = {body.node[0].op_type for body in (attribute.g for attribute in kept.attribute)}
    assert held == {"MatMul", "Neg"}


def test_an_operator_without_kernel_is_unsupported(small: Any, cli: Any) -> None:
    folder = small()
    model = onnx.load(folder / "model.onnx")
    model.graph.node[-1].op_type = "Unheard"
    model.graph.node[-1].domain = "some.vendor"
    model.opset_import.append(onnx.helper.make_opsetid("some.vendor", 1))
    onnx.save(model, folder / "model.onnx")
    assert "Unheard" in cli("compile", *PI, cwd=folder, code=10).stderr


def test_a_foreign_folder_is_not_replaced(small: Any, cli: Any) -> None:
    folder = small()
    (folder / "out").mkdir()
    (folder / "out" / "thesis.txt").write_text("mine")
    ran = cli("compile", *PI, "--output", folder / "out", cwd=folder, code=2)
    assert "holds something else" in ran.stderr
    assert [entry.name for entry in (folder / "out").iterdir()] == ["thesis.txt"]


def test_an_earlier_output_is_replaced(small: Any, cli: Any) -> None:
    folder = small()
    for _ in range(2):
        cli("compile", *PI, "--output", folder / "out", cwd=folder)
    assert {entry.name for entry in (folder / "out").iterdir()} == FILES
    assert not [entry for entry in folder.iterdir() if entry.name.startswith(".out")]


def test_progress_goes_to_stderr_step_by_step(small: Any, cli: Any) -> None:
    ran = cli("compile", *PI, cwd=small())
    steps = [line.split("  ")[0] for line in ran.stderr.splitlines()]
    assert steps == [
        *("import the model", "score the original", "calibrate", "quantize", "sensitivity"),
        *("search the mix", "verify the written file"),
    ]
