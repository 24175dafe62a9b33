"""The whole way, with the real program: a small model to an arm64 device and back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from conftest import PROGRAM, Cli, Ran
from small_models import answers, convolutions, images
from yardarm import lab, profiles

pytestmark = pytest.mark.root

HOST = "lab:ship"
SETTINGS = """
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
[run]
port = 8021
"""


def write_model(folder: Path, scale: float = 1.0) -> None:
    model = convolutions()
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output[0] == "b3":
            values = np.full(4, scale, np.float32)
            node.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(values))
    onnx.save(model, folder / "model.onnx")


@pytest.fixture(scope="module")
def project(lab_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 200 samples, and a device that is up."""
    lab.up("ship", profiles.load("raspberry-pi-5"))
    folder = tmp_path_factory.mktemp("small-net")
    (folder / "yardarm.toml").write_text(SETTINGS)
    write_model(folder)
    np.savez_compressed(folder / "calibration.npz", **{"x:0": images(1, 64)})
    x = images(2, 200)
    labels = answers(folder / "model.onnx", x, 32).argmax(axis=1)
    np.savez_compressed(folder / "evaluation.npz", **{"x:0": x, "label": labels})
    return folder


@pytest.fixture(scope="module")
def shipped(project: Path) -> Ran:
    done = subprocess.run(
        [PROGRAM, "ship", HOST, "--project", project, "--json"],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def test_a_model_comes_back_with_a_report(project: Path, shipped: Ran) -> None:
    result = shipped.json["result"]
    assert result["emulated"] and result["verdict"]["status"] == "EMULATED"
    assert result["accuracy"]["device"]["samples"] == 200
    assert result["accuracy"]["agreement"]["same"] >= 195, "int8 on ARM is nearly that of x86"
    assert result["accuracy"]["before"]["value"] == 1.0, "the labels are the model's own"
    assert len(result["latency"]["samples"]) == 100 and min(result["latency"]["samples"]) > 0
    assert result["telemetry"]["records"], "the run is in the telemetry"
    assert all(value for key, value in result["lineage"].items() if key != "git")
    assert "emulated" in shipped.stderr
    folder = project / ".yardarm" / "results" / "latest"
    assert json.loads((folder / "result.json").read_text()) == result
    assert "<svg" in (folder / "report.html").read_text()
    assert "EMULATED" in (folder / "report.md").read_text().upper()


def test_again_does_no_work_that_is_done(project: Path, shipped: Ran, cli: Cli) -> None:
    again = cli("ship", HOST, "--project", project, "--json")
    idle = [line for line in again.stderr.splitlines() if "nothing to do" in line]
    for step in (
        "compile",
        "base layer",
        "wheels layer",
        "runtime layer",
        "push",
        "activate",
        "bench",
    ):
        assert any(line.startswith(step) for line in idle), step
    assert again.json["deployed"]["bytes"] == 0 and not again.json["deployed"]["changed"]
    assert again.json["deployed"]["release"] == shipped.json["deployed"]["release"]
    assert again.json["result"] == shipped.json["result"]


def test_a_changed_model_sends_the_bundle_only(project: Path, shipped: Ran, cli: Cli) -> None:
    write_model(project, 2.0)
    try:
        plan = cli("deploy", HOST, "--project", project, "--dry-run", "--json").json
    finally:
        write_model(project)
    manifest = shipped.json["result"]["bundle"]["manifest"]
    assert 0 < plan["bytes"] < 4 * manifest["model"]["size"] + 100_000
    assert 1 <= len(plan["blobs"]["sent"]) <= 4


def test_damaged_blobs_are_made_again(project: Path, shipped: Ran, cli: Cli) -> None:
    """The store's disk lost bytes of a model and a layer that the device doesn't have yet."""
    write_model(project, 3.0)
    try:
        plan = cli("deploy", HOST, "--project", project, "--dry-run", "--json").json
        blobs = project / ".yardarm" / "store" / "blobs" / "sha256"
        sent = [blob["digest"].removeprefix("sha256:") for blob in plan["blobs"]["sent"]]
        model = next(name for name in sent if (blobs / name).read_bytes()[:1] == b"\x08")  # ONNX
        tars = [file for file in blobs.iterdir() if file.read_bytes()[257:262] == b"ustar"]
        layer = min(tars, key=lambda file: file.stat().st_size).name
        cli("lab", "ssh", "ship", "--", "rm", f"/var/lib/yardarm/store/blobs/sha256/{layer}")
        for name in (model, layer):
            with (blobs / name).open("r+b") as stream:
                stream.write(b"damaged")
        failed = cli("deploy", HOST, "--project", project, "--json", code=8)
        assert failed.json["error"]["kind"] == "VerificationFailed"
        assert model in failed.stderr and layer in failed.stderr and "run again" in failed.stderr
        assert cli("deploy", HOST, "--project", project, "--json").json["changed"] is True
    finally:
        write_model(project)
    back = cli("deploy", HOST, "--project", project, "--json").json
    assert back["changed"] and back["bytes"] == 0, "the model before is still there"


def test_a_compile_is_explained_with_the_devices_times(
    project: Path, shipped: Ran, cli: Cli
) -> None:
    asked = ("--project", project, "--on", HOST, "--json")
    told = cli("compile", *asked).json
    assert all(latency > 0 for latency in told["search"]["latency_ms"].values())
    assert told["search"]["chosen"] in told["search"]["latency_ms"]
    operators = told["explanation"]["operators"]
    assert operators["where"] == f"times of {HOST}, emulated: latency is not the device's"
    assert operators["emulated"] and operators["written_us"] > 0
    assert {"int8", "fp32"} == {cost["runs"] for cost in operators["nodes"]}
    again = cli("deploy", HOST, "--project", project, "--json").json
    assert not again["changed"], "the release is as it was"


def test_telemetry_is_pulled(project: Path, shipped: Ran, cli: Cli) -> None:
    time.sleep(6)
    pulled = cli("telemetry", "pull", HOST, "--json").json
    assert pulled["dropped"] == 0 and pulled["records"]
    assert "memory.used_mb" in pulled["records"][-1]["values"]
    time.sleep(6)
    again = cli("telemetry", "pull", HOST)
    table = again.stdout
    assert "new records" in table and "disk.free_inodes" in table and "e+" not in table
    assert "CPU, memory and disk is the host's" in again.stderr
    assert all(len(line) <= 80 or line.startswith("/") for line in table.splitlines())


def started(project: Path) -> subprocess.Popen[str]:
    """A `bench` that has got as far as the device."""
    running = subprocess.Popen(
        [PROGRAM, "bench", HOST, "--project", project],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("runtime layer"):
            return running
    raise AssertionError("bench ended before it began")


def test_a_second_one_is_told_who_is_busy(project: Path, shipped: Ran, cli: Cli) -> None:
    first = started(project)
    try:
        second = cli("ship", HOST, "--project", project, "--json", code=12)
        assert second.json["error"]["kind"] == "Busy"
        assert f"process {first.pid}" in second.stderr and "yardarm bench" in second.stderr
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate(timeout=30)
    await_free(cli)


def await_free(cli: Cli) -> None:
    """The device notices that its host is gone, and ends what it ran for it."""
    for _ in range(20):
        processes = cli("lab", "ssh", "ship", "--", "ps", "ax").stdout
        if "yardarm_runtime bench" not in processes and "agent.pyz session" not in processes:
            return
        time.sleep(0.5)
    raise AssertionError(f"still running:\n{processes}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_nothing_behind(
    project: Path, shipped: Ran, cli: Cli, number: int, code: int
) -> None:
    running = started(project)
    time.sleep(3)  # somewhere inside the run on the device
    os.kill(running.pid, number)
    running.communicate(timeout=60)
    assert running.returncode == code
    results = project / ".yardarm" / "results"
    assert not list(results.glob(".partial-*"))
    store = project / ".yardarm" / "store"
    assert not list(store.rglob(".partial-*"))
    await_free(cli)
    assert cli("deploy", HOST, "--project", project, "--json").json["changed"] is False
