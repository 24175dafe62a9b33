from __future__ import annotations

import json

from yardarm_runtime import environment


def _write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_board_with_sensors(tmp_path):
    cpu = "sys/devices/system/cpu/cpu{}/cpufreq/"
    for core, clock in ((0, "1500000\n"), (1, "2400000\n")):
        _write(tmp_path, cpu.format(core) + "scaling_governor", "ondemand\n")
        _write(tmp_path, cpu.format(core) + "scaling_cur_freq", clock)
    for zone, degrees in ((0, "48312\n"), (1, "51000\n")):
        _write(tmp_path, f"sys/class/thermal/thermal_zone{zone}/type", "cpu-thermal\n")
        _write(tmp_path, f"sys/class/thermal/thermal_zone{zone}/temp", degrees)
    _write(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    _write(tmp_path, "proc/loadavg", "0.10 0.20 0.30 1/100 4242\n")
    state = environment.snapshot(str(tmp_path))
    assert state["governors"] == {"cpu0": "ondemand", "cpu1": "ondemand"}
    assert state["clocks_mhz"] == {"cpu0": 1500.0, "cpu1": 2400.0}
    assert state["temperatures_c"] == {
        "thermal_zone0 cpu-thermal": 48.312,
        "thermal_zone1 cpu-thermal": 51.0,
    }
    assert state["throttled"] == "50005"
    assert state["load"] == [0.1, 0.2, 0.3]


def test_what_is_not_there_is_not_made_up(tmp_path):
    state = environment.snapshot(str(tmp_path))
    assert state["governors"] == state["clocks_mhz"] == state["temperatures_c"] == {}
    assert state["throttled"] is None and state["load"] is None
    assert state["memory"]["total_mb"] >= state["memory"]["available_mb"] > 0


def test_a_sensor_that_answers_nonsense_is_left_out(tmp_path):
    _write(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu")
    _write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "n/a")
    _write(tmp_path, "proc/loadavg", "a b")
    state = environment.snapshot(str(tmp_path))
    assert state["temperatures_c"] == {} and state["load"] is None


def test_this_machine_is_json(tmp_path):
    assert json.loads(json.dumps(environment.snapshot(), allow_nan=False))
