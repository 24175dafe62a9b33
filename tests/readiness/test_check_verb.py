"""`yardarm compile --check` as a user meets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from readiness_models import dynamic, model, node, one, quantized, value
from yardarm.cli import readiness as page
from yardarm.compile.readiness import Finding, Readiness, Severity
from yardarm.errors import InvalidInput
from yardarm.flow import check as flow

ORIN = "jetson-orin-nx-16gb"


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(given: onnx.ModelProto) -> Path:
        onnx.save(given, tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    return write


def spoilt() -> onnx.ModelProto:
    """Two operators that nobody has, a wrong zero point, and operators that are far away."""
    made = quantized(np.int8(3))
    made.graph.node.append(node("Det", ["x"], ["det"], name="det"))
    made.graph.node.append(node("Unheard", ["x"], ["o"], name="unheard", domain="my.own"))
    made.opset_import.append(onnx.helper.make_opsetid("my.own", 1))
    return made


def test_all_findings_of_a_file_on_one_page(file: Any, cli: Any) -> None:
    ran = cli("compile", file(spoilt()), "--profile", ORIN, "--check", code=10)
    lines = ran.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("errors")
    for word in ("Det", "Unheard", "my.own", "zero-point", "zero point 3", "quantize"):
        assert word in ran.stdout
    headings = [line.split()[0] for line in lines if line.split()[:1] and "what, and" in line]
    assert headings == ["errors"]
    assert "DLA" in ran.stdout
    assert "not ready for TensorRT 10.3 of JetPack 6.1 to 6.2.2" in ran.stdout
    assert "error:" not in ran.stderr


def test_as_json_with_the_oracle(file: Any, cli: Any) -> None:
    ran = cli("compile", file(one("Relu")), *("--profile", ORIN, "--check", "--json"))
    body = ran.json
    assert body["ready"] is True
    assert (body["engine"], body["system"]) == ("TensorRT 10.3", "JetPack 6.1 to 6.2.2")
    assert [each["rule"] for each in body["findings"]] == ["oracle"]
    assert set(body["findings"][0]) == {"node", "op", "rule", "severity", "what", "hint"}
    assert body["dla"]["eligible"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["model.onnx", "--profile", ORIN, "--check", "--jetpack", "9"], 3, "6.1 to 6.2.2"),
        (["model.onnx", "--check"], 2, "--profile"),
        (["model.onnx", "--profile", ORIN], 2, "--check"),
        (["--jetpack", "6.2", "--profile", ORIN], 2, "[tensorrt]"),
        (["model.onnx", "--check", "--profile", ORIN, "--output", "out"], 2, "makes nothing"),
        (["nothing.onnx", "--profile", ORIN, "--check"], 3, "nothing.onnx"),
        ([".", "--profile", ORIN, "--check"], 3, "that is a folder"),
        (["--profile", ORIN, "--check"], 3, "MODEL.onnx --check"),
        (["unsorted.onnx", "--profile", ORIN, "--check"], 3, "is not output of any previous"),
        (["junk.onnx", "--profile", ORIN, "--check"], 3, "junk.onnx"),
    ],
)
def test_wrong_use(file: Any, cli: Any, arguments: list[str], code: int, word: str) -> None:
    folder = file(one("Relu")).parent
    (folder / "junk.onnx").write_bytes(b"\x00 junk")
    made = model([node("Relu", ["q"], ["y"])], [value("x", [4, 4])], [value("y", [4, 4])])
    onnx.save(made, folder / "unsorted.onnx")
    ran = cli("compile", *arguments, cwd=folder, code=code)
    assert word in ran.stderr
    assert "Traceback" not in ran.stderr


def project(folder: Path, given: onnx.ModelProto, jetpack: str = "", data: bool = False) -> Path:
    onnx.save(given, folder / "model.onnx")
    lines = [
        "[model]",
        'source = "model.onnx"',
        "[data]",
        'calibration = "data.npz"',
        'evaluation = "data.npz"',
        "batch = 8",
        *(["[tensorrt]", f'jetpack = "{jetpack}"'] if jetpack else []),
    ]
    (folder / "yardarm.toml").write_text("\n".join(lines) + "\n")
    if data:
        np.savez(folder / "data.npz", x=np.ones((20, 4), np.float32), label=np.zeros(20, np.int64))
    return folder


def test_a_project_tells_its_jetpack_and_its_shapes(tmp_path: Path) -> None:
    folder = project(tmp_path, dynamic("m"), jetpack="5.1")
    early = flow.check_project(folder, ORIN)
    assert early.system == "JetPack 5.1"
    assert "shape-profile" in [each.rule for each in early.findings]
    project(tmp_path, dynamic("n"), data=True)
    later = flow.check_project(folder, ORIN, jetpack="6.2")
    assert later.system == "JetPack 6.1 to 6.2.2"
    assert later.ready
    rules = {each.rule for each in later.findings}
    assert "shape-profile" not in rules
    assert "axis-name" not in rules  # compiling parts them
    assert later.dla and later.dla.eligible == 1


def test_onnxruntime_profiles_are_checked_for_operators(tmp_path: Path, file: Any) -> None:
    found = flow.check_file(file(spoilt()), "raspberry-pi-5")
    assert [(each.rule, each.node) for each in found.errors] == [("operator", "unheard")]
    assert (found.engine, found.dla) == ("onnxruntime", None)
    assert flow.check_file(file(one("Relu")), "raspberry-pi-5").ready


def test_onnxruntime_says_what_it_can_t_load(file: Any) -> None:
    bits = onnx.TensorProto.BFLOAT16
    made = model(
        [node("Erf", ["x"], ["y"], name="erf")], [value("x", [4], bits)], [value("y", [4], bits)]
    )
    (error,) = flow.check_file(file(made), "raspberry-pi-5").errors
    assert (error.rule, error.node, error.op) == ("onnxruntime", "erf", "Erf")


def test_onnxruntime_operator_sets_are_converted(file: Any) -> None:
    made = one("Relu", opset=24)
    (warning,) = flow.check_file(file(made), "raspberry-pi-5").findings
    assert (warning.rule, warning.severity) == ("opset", Severity.WARNING)
    made.opset_import[0].version = 99
    assert not flow.check_file(file(made), "raspberry-pi-5").ready


def test_a_jetpack_of_a_device_that_has_none(file: Any) -> None:
    with pytest.raises(InvalidInput):
        flow.check_file(file(one("Relu")), "raspberry-pi-5", jetpack="6.2")


def test_equal_findings_share_a_row() -> None:
    many = [
        Finding(f"n{i}", "Det", "operator", Severity.ERROR, "no Det", "none") for i in range(40)
    ]
    many.append(Finding("", "", "opset", Severity.WARNING, "old", "raise it"))
    text = page.page(Readiness("p", "TensorRT 10.3", "JetPack 6.2", 1200, tuple(many)))
    assert "and 39 more" in text
    assert len(text.splitlines()) < 15
    assert "1,200 nodes for p: 40 errors, 1 warning" in text
    assert text.index("errors") < text.index("warnings")
