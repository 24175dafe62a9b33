from __future__ import annotations

import pytest

from yardarm_runtime import device
from yardarm_runtime.device import Device
from yardarm_runtime.problems import Problem


def test_what_is_not_told_is_unknown(tmp_path):
    assert device.read(None) == device.read(str(tmp_path / "no")) == Device()
    (tmp_path / "device.json").write_text('{"power_mode": "15W", "jetson_clocks": null, "x": 1}')
    assert device.read(str(tmp_path / "device.json")) == Device(power_mode="15W")


@pytest.mark.parametrize("text", ["", "[]", '{"module": 1}', '{"jetson_clocks": 1}', "\udcff"])
def test_what_describes_no_device_is_told(tmp_path, text):
    (tmp_path / "device.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(Problem, match=r"device\.json"):
        device.read(str(tmp_path / "device.json"))
