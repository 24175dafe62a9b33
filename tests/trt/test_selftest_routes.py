"""The selftest where there are fakes of TensorRT and CUDA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trt import fakes
from yardarm_runtime import selftest
from yardarm_runtime.engines import Place

NOTHING = {"device": 0, "host": 0, "streams": 0, "events": 0, "pageable": 0}


def ended(report: dict[str, Any]) -> dict[str, bool | None]:
    return {step["name"]: step["ok"] for step in report["steps"]}


@pytest.mark.parametrize("here", ["8.6", "11.4"], indirect=True)
def test_every_generation_is_a_route(
    here: Any, library: fakes.Library, tmp_path: Path, device: Any
) -> None:
    engines = tmp_path / "engines"
    report = selftest.run(Place(str(engines), str(device())), lambda _line: None)
    assert report["routes"] == ["onnxruntime", "tensorrt"] and report["ok"], report
    (step,) = [step for step in report["steps"] if step["name"] == "tensorrt, int8"]
    assert step["figures"]["route"] == "tensorrt" and step["figures"]["device_us"] > 0
    assert step["figures"]["error_beside_onnxruntime"] < step["figures"]["error"]
    verified = report["verified"]
    assert verified["tensorrt"] == here.__version__ and verified["sm"] == 87
    assert verified["gpu"] == "Fake Orin" and verified["module"] == "NVIDIA Jetson Orin NX"
    assert verified["power_mode"] == "15W" and verified["l4t"] == "36.4.0"
    assert library.left() == NOTHING and list(engines.iterdir()) == []


def test_a_route_that_answers_wrongly_is_none(
    here: Any, library: fakes.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TENSORRT_FAULT", "wrong answers")
    report = selftest.run(Place(), lambda _line: None)
    assert report["routes"] == ["onnxruntime"] and report["ok"] is False
    (step,) = [step for step in report["steps"] if step["name"] == "tensorrt, float32"]
    assert step["ok"] is False and "the answer is wrong" in step["detail"]
    assert library.left() == NOTHING


def test_tensorrt_without_a_device_is_a_failure(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CUDART_FAIL", "cudaGetDeviceCount:1:100")
    report = selftest.run(Place(), lambda _line: None)
    assert ended(report)["TensorRT"] is True and ended(report)["CUDA"] is False
    assert report["ok"] is False and report["routes"] == ["onnxruntime"]


def test_onnxruntime_missing_is_no_failure(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in JetPack's own containers."""

    def missing() -> dict[str, Any]:
        raise ImportError("No module named 'onnxruntime'")

    monkeypatch.setattr(selftest.detect, "onnxruntime", missing)
    report = selftest.run(Place(), lambda _line: None)
    assert ended(report)["onnxruntime"] is None
    assert report["routes"] == ["tensorrt"] and report["ok"]
