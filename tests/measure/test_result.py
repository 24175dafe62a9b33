from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from yardarm import project
from yardarm.artifacts import EMULATED
from yardarm.errors import InvalidInput
from yardarm.measure import results
from yardarm.measure import run as runs
from yardarm.measure.plan import plan
from yardarm.measure.result import agreement, result
from yardarm.measure.verdict import verdict
from yardarm.project import MetricSection


def test_a_result_says_all_that_it_rests_on(measured):
    body = result(measured)
    assert json.loads(json.dumps(body, allow_nan=False)) == body
    assert body["schema"] == "yardarm.result/1"
    assert body["created"] == "2026-11-22T23:30:05+00:00"
    assert body["device"]["engines"] == {"podman": "4.3.1"} and body["device"]["cores"] == 4
    assert body["release"]["version"] == 7
    assert body["image"]["size_mb"] == 24.691
    assert body["telemetry"]["records"][0]["seq"] == 1
    lineage = body["lineage"]
    assert lineage.pop("git") is None
    assert len(set(lineage.values())) == 6 and all(
        v.startswith("sha256:") for v in lineage.values()
    )


def test_latency_is_the_runs_own(measured):
    latency = result(measured)["latency"]
    assert len(latency["samples"]) == len(latency["starts_s"]) == 100
    assert latency["samples"][3] * 1000 == pytest.approx(float(measured.run.samples[3, 1]))
    assert latency["min"] <= latency["percentiles"]["p50"] <= latency["percentiles"]["p90"]
    assert latency["percentiles"]["p99"] is None
    assert latency["insufficient"]["p99"] == {"need": 662, "have": 100}
    assert latency["cold"]["load_ms"] > 0 and latency["floor_us"] > 0


def test_units_are_microseconds_and_seconds(with_samples):
    latency = result(with_samples(1000))["latency"]
    assert latency["unit"] == "us"
    assert (latency["min"], latency["max"], latency["mean"]) == (10.0, 19.0, 14.5)
    assert latency["percentiles"]["p50"] == 14.0 and latency["percentiles"]["p99"] == 19.0
    assert latency["starts_s"][-1] == pytest.approx(999 * 50e-6)


def test_the_devices_accuracy_is_counted_from_its_own_outputs(measured):
    accuracy = result(measured)["accuracy"]
    assert accuracy["device"]["value"] == 1.0 and accuracy["device"]["samples"] == 70
    assert accuracy["agreement"] == {"same": 70, "samples": 70}
    wrong = measured.labels.copy()
    wrong[:7] = (wrong[:7] + 1) % 4
    assert result(replace(measured, labels=wrong))["accuracy"]["device"]["value"] == 0.9
    assert result(replace(measured, host_outputs=None))["accuracy"]["agreement"] is None


def test_labels_of_another_number_are_refused(measured):
    with pytest.raises(InvalidInput):
        result(replace(measured, labels=measured.labels[:-1]))


def test_agreement_counts_equal_decisions_not_equal_numbers():
    host = {"y": np.array([[1.0, 2.0], [3.0, 1.0], [0.0, 5.0]])}
    device = {"y": np.array([[1.1, 1.9], [1.0, 3.0], [0.0, 5.0]])}
    assert agreement(host, device, "y") == {"same": 2, "samples": 3}
    with pytest.raises(InvalidInput, match="'y'"):
        agreement(host, {"y": device["y"][:2]}, None)
    with pytest.raises(InvalidInput, match="'z'"):
        agreement(host, device, "z")


def test_what_is_emulated_is_never_valid(with_samples):
    many = with_samples(1000)
    assert result(many)["verdict"] == {"status": "VALID", "reasons": []}
    for emulated in (
        replace(many, emulated=True),
        replace(many, facts=replace(many.facts, emulated=True)),
    ):
        body = result(emulated)
        assert body["emulated"] and body["verdict"] == {"status": "EMULATED", "reasons": [EMULATED]}


def test_too_few_samples_for_p99_are_not_enough(with_samples):
    assert result(with_samples(662))["verdict"]["status"] == "VALID"
    body = result(with_samples(661))
    assert body["verdict"]["status"] == "INSUFFICIENT"
    assert body["verdict"]["reasons"] == ["p99 needs 662 samples, the run has 661"]
    lacking = {"p99.9": {"need": 6636, "have": 700}}
    assert verdict(emulated=False, insufficient=lacking)["status"] == "VALID"


def test_saved_results_come_back_and_latest_follows(measured, tmp_path):
    root = tmp_path / "results"
    first = result(measured)
    folder = results.save(first, measured.run.samples, root)
    assert folder.name.startswith("20261122T233005Z-") and results.load(folder) == first
    assert (np.load(folder / "samples.npy") == measured.run.samples).all()
    assert results.save(first, measured.run.samples, root) == folder
    second = first | {"host": "other"}
    other = results.save(second, measured.run.samples, root)
    assert results.latest(root) == second and results.load(first_file := folder / "result.json")
    assert first_file.is_file() and (root / "latest").resolve() == other.resolve()
    assert {path.name for path in root.iterdir()} == {folder.name, other.name, "latest"}


def test_a_failed_save_leaves_what_was_there(measured, tmp_path, monkeypatch):
    root = tmp_path / "results"
    first = result(measured)
    results.save(first, measured.run.samples, root)
    names = {path.name for path in root.iterdir()}

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results.FILES, "rename", full)
    with pytest.raises(OSError):
        results.save(first | {"host": "other"}, measured.run.samples, root)
    assert {path.name for path in root.iterdir()} == names
    assert results.latest(root) == first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"schema": "yardarm.result/2"}', "yardarm.result/2"),
        (b"{}", "None"),
        (b"[]", "None"),
        (b"{", "can't be read"),
        (None, "there is no result"),
    ],
)
def test_what_is_no_result_of_this_version_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        results.load(tmp_path)
    with pytest.raises(InvalidInput, match="nothing was measured"):
        results.latest(tmp_path)


@pytest.mark.parametrize("name", ["result.json", "samples.npy", "outputs.npz"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut"])
def test_a_damaged_run_is_refused_by_file(run_files, name, damage):
    file = run_files / name
    content = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(InvalidInput) as caught:
        runs.read(run_files)
    assert caught.value.where == str(file)


def test_an_array_is_no_archive(run_files, as_npy):
    (run_files / "outputs.npz").write_bytes(as_npy(np.zeros(3)))
    with pytest.raises(InvalidInput, match="not an npz"):
        runs.read(run_files)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((0, 2), np.int64),
        np.zeros((5, 3), np.int64),
        np.zeros(5, np.int64),
        np.zeros((5, 2)),
        np.full((5, 2), -1, np.int64),
    ],
)
def test_samples_of_another_kind_are_refused(run_files, as_npy, samples):
    (run_files / "samples.npy").write_bytes(as_npy(samples))
    with pytest.raises(InvalidInput, match="int64"):
        runs.read(run_files)


def test_a_run_of_another_schema_or_without_a_part_is_refused(run_files):
    file = run_files / "result.json"
    report = json.loads(file.read_text())
    file.write_text(json.dumps(report | {"schema": "yardarm.run/2"}))
    with pytest.raises(InvalidInput, match=r"not a yardarm.run/1"):
        runs.read(run_files)
    del report["cold"]
    file.write_text(json.dumps(report))
    with pytest.raises(InvalidInput, match="lacks cold"):
        runs.read(run_files)


def test_a_virtual_device_times_fewer_inferences(tmp_path: Path) -> None:
    (tmp_path / "yardarm.toml").write_text(
        '[model]\nsource = "m"\n[data]\ncalibration = "c"\nevaluation = "e"\n'
    )
    loaded = project.load(tmp_path)
    manifest = {"inputs": [{"name": "x"}]}
    assert plan(loaded, manifest)["iterations"] == 1000
    assert plan(loaded, manifest, emulated=True)["iterations"] == 100


def test_the_devices_drop_is_against_the_same_file_on_the_host(measured):
    accuracy = result(measured)["accuracy"]
    assert accuracy["device_drop"]["value"] == 0.0 and accuracy["device_drop"]["high"] > 0
    host = measured.host_outputs["y"]
    other = dict(measured.run.outputs, y=np.roll(host, 1, axis=1))
    worse = result(replace(measured, run=replace(measured.run, outputs=other)))["accuracy"]
    assert worse["device_drop"]["value"] == 1.0
    assert result(replace(measured, host_outputs=None))["accuracy"]["device_drop"] is None


@pytest.mark.parametrize("name", ["f1", "mse", "cosine"])
def test_the_device_is_scored_by_the_projects_metric(measured, name):
    metric = MetricSection(name=name)
    labels = measured.labels if name == "f1" else measured.host_outputs["y"]
    body = result(replace(measured, metric=metric, labels=labels))["accuracy"]
    assert body["device"]["value"] == pytest.approx(0.0 if name == "mse" else 1.0)
    alone = result(replace(measured, metric=metric, labels=labels, host_outputs=None))
    assert alone["accuracy"]["device"] == body["device"]


def test_agreement_of_samples_that_differ_in_shape():
    host, device = np.empty(3, object), np.empty(3, object)
    host[:] = [np.array([1, 2]), np.array([3.0]), np.array([])]
    device[:] = [np.array([2, 1]), np.array([3.5]), np.array([])]
    assert agreement({"y": host}, {"y": device}, "y") == {"same": 2, "samples": 3}
