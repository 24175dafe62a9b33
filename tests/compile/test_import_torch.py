"""Models from torch: exported alike everywhere, and held against their source."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from yardarm import datasets, profiles, project
from yardarm.compile import compiled
from yardarm.compile.normalising import agreement
from yardarm.compile.normalising.normalise import normalise
from yardarm.compile.session import Engine
from yardarm.compile.sources import importing, opening, parity, torch_library
from yardarm.compile.sources.opening import Imported, open_source
from yardarm.errors import InvalidInput, Unsupported, VerificationFailed
from yardarm.events import Event, Note
from yardarm.project import Project
from yardarm.store import Store

NETS = Path(__file__).parents[1] / "torch_nets.py"
PI = profiles.load("raspberry-pi-5")
RANDOM = np.random.default_rng(8)
SMALL = {
    "image": RANDOM.normal(0, 1, (40, 3, 6, 6)).astype(np.float32),
    "scale": RANDOM.uniform(0.5, 2, (40, 1)).astype(np.float32),
}

Projects = Callable[..., Project]


@pytest.fixture
def made(tmp_path: Path) -> Projects:
    """A project of a source and its inputs; the labels are 0."""

    def make(source: str, output: str = "output", **inputs: np.ndarray) -> Project:
        (tmp_path / "torch_nets.py").write_text(NETS.read_text())
        arrays: dict[str, Any] = inputs or {"x": np.ones((8, 3), np.float32)}
        np.savez(tmp_path / "calibration.npz", **arrays)
        labels = np.zeros(len(next(iter(arrays.values()))), np.int64)  # the first one moves
        np.savez(tmp_path / "evaluation.npz", label=labels, **arrays)
        (tmp_path / "yardarm.toml").write_text(
            f'[model]\nsource = "{source}"\n[data]\ncalibration = "calibration.npz"\n'
            f'evaluation = "evaluation.npz"\nbatch = 16\n[metric]\noutput = "{output}"\n'
        )
        return project.load(tmp_path)

    return make


def check(held: Imported, of: Project) -> parity.Compared:
    assert held.parity
    dataset = datasets.open_dataset(of.path(of.data.evaluation), of.layout)
    return held.parity.check(dataset, of.metric, dataset.read("label"))


def names(values: object) -> list[str]:
    return [value.name for value in values]  # type: ignore[attr-defined]


def test_a_module_keeps_its_names_and_takes_any_batch(
    made: Projects, capfd: pytest.CaptureFixture[str]
) -> None:
    of = made("torch_nets:small", "logits", **SMALL)
    held = open_source(of, PI)
    assert (held.kind, held.name, held.notes) == ("torch", "torch_nets:small", ())
    assert names(held.model.graph.input) == ["image", "scale"]
    assert names(held.model.graph.output) == ["logits", "features"]
    assert [tensor.shape for tensor in importing.inputs(held.model)] == [
        (None, 3, 6, 6),
        (None, 1),
    ]
    assert names(held.model.graph.node)[:2] == ["body.0.conv/Conv", "body.0.activation/HardSwish"]
    assert names(held.model.graph.node)[-1] == "head/Gemm"
    told = check(held, of)
    assert set(told.outputs) == {"logits", "features"}
    assert max(told.outputs.values()) < 1e-5
    assert told.before == told.after
    assert capfd.readouterr().out == ""


def test_nothing_of_this_machine_is_in_the_model(made: Projects, tmp_path: Path) -> None:
    held = open_source(made("torch_nets:small", "logits", **SMALL), PI)
    data = held.model.SerializeToString()
    assert held.size == len(data)
    for trace in (str(tmp_path).encode(), b"torch_nets", b"site-packages", b".py", b"forward"):
        assert trace not in data
    assert not any(node.metadata_props for node in held.model.graph.node)


def test_another_process_exports_the_same_bytes(made: Projects, tmp_path: Path) -> None:
    of = made("torch_nets:small", "logits", **SMALL)
    command = [sys.executable, "-m", "yardarm", "compile", "--profile", PI.name, "--json"]
    ran = subprocess.run(
        [*command, "--output", "out"], cwd=tmp_path, capture_output=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert json.loads(ran.stdout)["accuracy"]["before"]["samples"] == 40
    source = json.loads((tmp_path / "out" / "manifest.json").read_text())["source"]
    assert source["digest"] == open_source(of, PI).digest
    assert (source["file"], source["kind"], source["notes"]) == ("torch_nets:small", "torch", [])


@pytest.mark.parametrize("bounds", [(13, 17), (13, 13), (21, 21)], ids=str)
def test_the_operator_set_fits_any_range(bounds: tuple[int, int], made: Projects) -> None:
    of = made("torch_nets:small", "logits", **SMALL)
    runtime = PI.runtime.model_copy(update={"opset_min": bounds[0], "opset_max": bounds[1]})
    held = open_source(of, PI.model_copy(update={"runtime": runtime}))
    sample = {name: values[:8] for name, values in SMALL.items()}
    found = normalise(held.model, *bounds, sample)
    assert bounds[0] <= importing.opset(found) <= bounds[1]
    assert max(check(held, of).outputs.values()) < 1e-5


def test_a_factory_may_free_more_axes_and_name_outputs(made: Projects) -> None:
    inputs = {"ids": RANDOM.integers(0, 20, (12, 5)), "keep": RANDOM.random((12, 5)) < 0.8}
    of = made("torch_nets:words", "classes", **inputs)
    held = open_source(of, PI)
    assert held.notes == ()
    assert names(held.model.graph.output) == ["classes", "states"]
    assert [tensor.shape for tensor in importing.inputs(held.model)] == [(None, None)] * 2
    assert max(check(held, of).outputs.values()) < 1e-4


def test_a_fixed_batch_is_said(made: Projects) -> None:
    of = made("torch_nets:fixed", x=RANDOM.normal(0, 1, (10, 3)).astype(np.float32))
    held = open_source(of, PI)
    assert held.notes == ("The module takes 4 samples at a time in x.",)
    assert check(held, of).outputs == {"output": 0.0}


def test_a_state_of_one_sample_fixes_the_batch(made: Projects) -> None:
    """The state is the same for every run: no batch of it can be made from the example's."""
    x = RANDOM.normal(0, 1, (5, 6, 4)).astype(np.float32)
    of = made("torch_nets:recurrent", x=x, h=np.zeros((1, 1, 5), np.float32))
    data = of.data.model_copy(update={"constant_inputs": ("h",)})
    of = of.model_copy(update={"data": data})
    held = open_source(of, PI)
    assert held.notes == ("The module takes 1 samples at a time in x.",)
    assert max(check(held, of).outputs.values()) < 1e-5


def test_names_that_clash_are_told_apart(made: Projects) -> None:
    values = RANDOM.normal(0, 1, (6, 3)).astype(np.float32)
    of = made("torch_nets:echo", "state_out", state=values, more_0=values + 1)
    held = open_source(of, PI)
    assert held.notes == ()
    assert names(held.model.graph.input) == ["state", "more_0"]
    assert names(held.model.graph.output) == ["state_out", "all.0", "all.1"]
    assert max(check(held, of).outputs.values()) < 1e-5


def test_the_older_exporter_helps_out_and_the_gate_finds_a_frozen_branch(
    made: Projects, tmp_path: Path
) -> None:
    of = made(
        "torch_nets:branching",
        x=-np.ones((8, 3), np.float32) * RANDOM.random((8, 3)).astype(np.float32),
    )
    events: list[Event] = []
    with pytest.raises(VerificationFailed, match="output 'output' is off by") as caught:
        compiled(of, PI, Store(tmp_path / "store"), events.append)
    assert caught.value.exit_code == 8
    assert (caught.value.where, "torch.where" in caught.value.hint) == ("output output", True)
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.text.startswith("torch.export can't take the module (GuardOnDataDependent")
    assert note.text.endswith("the older exporter wrote it.")


def test_what_neither_exporter_can_write_is_quoted(
    made: Projects, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Unsupported, match=r"torch can't export the module: \w+") as caught:
        open_source(made("torch_nets:hopeless", x=np.ones((2, 3, 3), np.float32)), PI)
    assert "linalg_eigvals" in caught.value.what + caught.value.hint
    assert "\n" not in caught.value.what + caught.value.hint
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("torch_nets:nobody", "no 'nobody'"),
        ("nowhere:small", "no module 'nowhere'"),
        ("torch_nets:raising", r"raised ValueError: no weights here \(torch_nets.py, line \d+\)"),
        ("torch_nets:alone", "returned Small, not "),
        ("torch_nets:other", "returned a dict where the torch module should be"),
        ("torch_nets:textual", "a str is among its example inputs"),
        ("torch_nets:short", "don't fit the module's forward: missing a required argument"),
        ("torch_nets:misshapen", "fails on its example inputs: RuntimeError: .*channels"),
        ("weights.pth", "a torch checkpoint holds weights, not a model"),
        ("model.pt2", "torch can't read it"),
        ("lost.pt2", "there is no such model file"),
    ],
)
def test_bad_sources_are_told_in_one_line(
    source: str, told: str, made: Projects, tmp_path: Path
) -> None:
    of = made(source)
    (tmp_path / "model.pt2").write_bytes(b"PK no archive")
    with pytest.raises(InvalidInput, match=told) as caught:
        open_source(of, PI)
    assert "\n" not in str(caught.value)


def test_without_torch_the_extra_is_named(made: Projects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(Unsupported, match="onnxscript is missing") as caught:
        open_source(made("torch_nets:small"), PI)
    assert "yardarm[torch]" in caught.value.hint


def test_a_saved_program_is_read(made: Projects, tmp_path: Path) -> None:
    import torch

    of = made("model.pt2", "logits", **SMALL)
    examples = torch.randn(2, 3, 6, 6), torch.ones(2, 1)
    free = ({0: torch.export.Dim("n")},) * 2
    with torch_library.quietly():
        program = torch.export.export(
            runpy.run_path(str(NETS))["small"]()[0].eval(), examples, dynamic_shapes=free
        )
        torch.export.save(program, tmp_path / "model.pt2")
    held = open_source(of, PI)
    assert (held.kind, held.name) == ("torch", "model.pt2")
    assert names(held.model.graph.input) == ["image", "scale"]
    assert names(held.model.graph.output) == ["logits", "features"]
    assert max(check(held, of).outputs.values()) < 1e-5


def scaled(model: ModelProto, name: str) -> None:
    (tensor,) = [held for held in model.graph.initializer if held.name == name]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.1), name))


def retyped(model: ModelProto, old: str, new: str) -> None:
    (node,) = [held for held in model.graph.node if held.op_type == old]
    node.op_type = new


@pytest.mark.parametrize(
    ("harm", "first"),
    [
        (lambda model: scaled(model, "head.weight"), "node head/Gemm (Gemm)"),
        (lambda model: scaled(model, "body.0.conv.weight"), "node body.0.conv/Conv (Conv)"),
        (lambda model: retyped(model, "HardSwish", "Relu"), "node body.0.activation/HardSwish"),
    ],
    ids=["last", "first", "activation"],
)
def test_a_broken_conversion_is_found_at_its_node(
    harm: Callable[[ModelProto], None], first: str, made: Projects
) -> None:
    of = made("torch_nets:small", "logits", **SMALL)
    held = open_source(of, PI)
    assert held.parity
    harm(held.model)
    with pytest.raises(VerificationFailed, match="off by") as caught:
        check(held, of)
    assert caught.value.where.startswith(first)


def test_an_onnx_file_has_no_gate_and_its_weights_count(tmp_path: Path, made: Projects) -> None:
    of = made("model.onnx")
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> g (float[n, 3] x) => (float[n, 3] y)'
        " <float[3] w = {1, 2, 3}> { y = Mul(x, w) }"
    )
    digests = []
    for factor in (1, 2):
        values = factor * np.arange(3, dtype=np.float32)
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w"))
        copy = ModelProto.FromString(model.SerializeToString())
        (tmp_path / "w.bin").unlink(missing_ok=True)
        onnx.save(
            copy,
            tmp_path / "model.onnx",
            save_as_external_data=True,
            location="w.bin",
            size_threshold=0,
        )
        held = open_source(of, PI)
        digests.append(held.digest)
        assert (held.kind, held.parity, held.notes) == ("onnx", None, ())
        assert held.size == (tmp_path / "model.onnx").stat().st_size + 12
        feed = {"x": np.ones((2, 3), np.float32)}
        assert not agreement.difference(
            {"y": np.tile(values, (2, 1))}, Engine(held.model).run(feed)
        )
    assert digests[0] != digests[1]
    assert not opening.is_torch(of)
