"""What has changed on a device between two measurements."""

from __future__ import annotations

from typing import Any

from yardarm.measure import changes

KEY = {
    "model": "sha256:" + "1" * 64, "tensorrt": "10.3.0", "sm": 87, "module": "a board",
    "power_mode": "15W", "options": "sha256:" + "2" * 64,
}  # fmt: skip


def result(host: str = "pi", **changed: Any) -> dict[str, Any]:
    return {"host": host, "engine": {"route": "tensorrt", "key": {**KEY, **changed}}}


def test_another_power_mode_is_told() -> None:
    told = changes(result(), result(power_mode="MAXN", tensorrt="10.3.1"))
    assert told == [
        "TensorRT: built with 10.3.0, this device has 10.3.1",
        "power mode: built in 15W, this device is in MAXN",
    ]


def test_another_model_is_no_change_of_the_device() -> None:
    assert changes(result(), result(model="sha256:" + "3" * 64, options=KEY["model"])) == []


def test_without_engines_or_on_another_host_nothing_is_told() -> None:
    other = result("another", power_mode="MAXN")
    assert changes(result(), other) == []
    for engine in (None, {}, {"key": {"sm": "many"}}, {"route": "onnxruntime"}):
        assert changes({"host": "pi", "engine": engine}, result()) == []
    assert changes({"host": "pi"}, result()) == []
