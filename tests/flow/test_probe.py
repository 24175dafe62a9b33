"""A device asked for times while a model is compiled: what is sent, kept and believed."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from small_models import convolutions, images
from yardarm import project
from yardarm.errors import Refused, VerificationFailed
from yardarm.flow import probe
from yardarm.store import Store

SETTINGS = """\
[model]
source = "model.onnx"
[data]
calibration = "data.npz"
evaluation = "data.npz"
batch = 16
"""
MODEL = convolutions().SerializeToString()


class Device:
    """Plays the agent's session: what it was asked, and the files that a run left."""

    address = SimpleNamespace(name="pi@kitchen")

    def __init__(self, failure: VerificationFailed | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self._failure = failure
        self._files: dict[str, bytes] = {}

    def request(self, operation: str, **fields: Any) -> Any:
        if operation == "read":
            held = self._files[fields["name"]][fields["offset"] :][: fields["size"]]
            return SimpleNamespace(header={}, payload=held)
        if operation == "have":
            there = {digest: {"complete": True, "offset": 0} for digest in fields["blobs"]}
            return SimpleNamespace(header={"blobs": there})
        assert operation == "claim"
        return SimpleNamespace(header={})

    def watch(self, operation: str, **fields: Any) -> Any:
        assert operation == "probe"
        if self._failure:
            raise self._failure
        self.asked.append(fields)
        table = np.array([[0, 2e6], [3e6, 4e6], [8e6, 9e6]], np.int64)
        self._files = {"samples.npy": saved(table)}
        if fields["plan"]["operators"]:
            graph = convolutions()
            for node in graph.graph.node:
                node.name = node.output[0]
            self._files |= {
                "operators.json": b'{"c1": 5, "y": 2.5}',
                "optimised.onnx": graph.SerializeToString(),
            }
        yield SimpleNamespace(header={"progress": {}})
        sizes = {name: len(data) for name, data in self._files.items()}
        yield SimpleNamespace(header={"files": sizes})


def saved(table: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, table)
    return stream.getvalue()


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A probe of a device, and the device: `ask(emulated=True)`."""
    (tmp_path / "yardarm.toml").write_text(SETTINGS)
    np.savez(tmp_path / "data.npz", **{"x:0": images(1, 9), "label": np.zeros(9, np.int64)})
    opened = SimpleNamespace(project=project.load(tmp_path), store=Store(tmp_path / "store"))

    def made(device: Device, *, emulated: bool = False) -> probe.DeviceProbe:
        entered = SimpleNamespace(connection=device, emulated=emulated)
        stack = ExitStack()
        monkeypatch.setattr(probe, "agent", lambda _device: ExitStack())
        monkeypatch.setattr(stack, "enter_context", lambda _session: device)
        return probe.DeviceProbe(cast(Any, entered), cast(Any, opened), stack)

    return made


def test_a_median_in_milliseconds_and_one_question_for_both(ask: Any) -> None:
    device = Device()
    asked = ask(device)
    rows = asked.operators(MODEL)
    assert [(row["name"], row["op"], row["us"]) for row in rows] == [
        ("c1", "Conv", 5.0),
        ("y", "Softmax", 2.5),
    ]
    assert asked.latency_ms(MODEL) == 4.0
    assert asked.p99_ms(MODEL) is None  # a handful of samples has none
    assert len(device.asked) == 1
    assert (asked.name, asked.emulated) == ("pi@kitchen", False)


def test_a_candidate_is_not_profiled(ask: Any) -> None:
    device = Device()
    asked = ask(device)
    assert asked.latency_ms(MODEL) == asked.latency_ms(MODEL) == 4.0
    (fields,) = device.asked
    assert fields["plan"]["operators"] == 0
    assert fields["plan"]["inputs"] == ["x:0"]
    assert fields["manifest"]["options"]["batch"] == 16
    asked.operators(MODEL)
    assert [held["plan"]["operators"] for held in device.asked] == [0, 30]


def test_the_sample_that_is_sent_is_the_same_each_time(ask: Any) -> None:
    device = Device()
    ask(device).latency_ms(MODEL)
    ask(device).latency_ms(MODEL)
    assert len({fields["data"] for fields in device.asked}) == 1


def test_a_virtual_device_is_asked_little(ask: Any) -> None:
    device = Device()
    ask(device, emulated=True).operators(MODEL)
    (fields,) = device.asked
    assert [fields["plan"][key] for key in ("iterations", "warmup", "operators")] == [5, 1, 3]


def test_an_older_release_is_told_from_a_model_that_fails(ask: Any) -> None:
    older = VerificationFailed("the run failed", hint="argument verb: invalid choice: 'probe'")
    with pytest.raises(Refused, match="older Yardarm") as refused:
        ask(Device(older)).latency_ms(MODEL)
    assert refused.value.hint == "yardarm deploy pi@kitchen"
    broken = VerificationFailed("the run failed", hint="can't be loaded")
    with pytest.raises(VerificationFailed, match="the run failed"):
        ask(Device(broken)).latency_ms(MODEL)


@pytest.mark.parametrize("damage", ["missing", "no array", "no rows", "no model"])
def test_damaged_answers_are_refused(damage: str, tmp_path: Path) -> None:
    table = np.ones((3, 2), np.int64)
    if damage != "missing":
        np.save(tmp_path / "samples.npy", table[0] if damage == "no rows" else table)
    if damage == "no array":
        (tmp_path / "samples.npy").write_bytes(b"\x93NUMPY\x01")
    if damage == "no model":
        (tmp_path / "operators.json").write_text("{}")
        (tmp_path / "optimised.onnx").write_bytes(b"\xff\xff")
    with pytest.raises(VerificationFailed, match="times can't be read"):
        probe.read(tmp_path)
