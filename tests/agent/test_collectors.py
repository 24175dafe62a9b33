"""Collectors on fixture trees of /proc and /sys."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from yardarm_agent import collectors
from yardarm_agent.collectors import clock, cpu, disk, memory, runtime, temperature

MEMINFO = """MemTotal:        8000000 kB
MemFree:         1000000 kB
MemAvailable:    5000000 kB
SwapTotal:       2000000 kB
SwapFree:        1500000 kB
HugePages_Total:       0
"""


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_cpu_is_the_share_of_busy_ticks_since_the_last_sample(tmp_path: Path) -> None:
    stat = put(tmp_path / "stat", "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n")
    load = put(tmp_path / "loadavg", "0.52 0.58 0.59 1/467 12345\n")
    collector = cpu.Cpu(str(stat), str(load))
    assert collector.collect() == {"cpu.load1": 0.52}
    put(stat, "cpu  150 5 70 870 60 2 3 0 40 0\n")
    # busy: 50 + 5 + 20 + 2 + 3 of these and 70 idle + 10 iowait; guests are in user already
    assert collector.collect() == {"cpu.load1": 0.52, "cpu.percent": 50.0}
    assert collector.collect() == {"cpu.load1": 0.52}, "no tick passed"


def test_memory_in_megabytes(tmp_path: Path) -> None:
    found = memory.Memory(str(put(tmp_path / "meminfo", MEMINFO))).collect()
    assert found == {
        "memory.used_mb": 3072.0,
        "memory.available_mb": 5120.0,
        "memory.swap_used_mb": 512.0,
    }


def test_disk_of_a_folder(tmp_path: Path) -> None:
    found = disk.Disk(str(tmp_path)).collect()
    assert found["disk.free_mb"] > 0 and set(found) == {"disk.free_mb", "disk.free_inodes"}


def zone(top: Path, number: int, kind: str | None, value: str) -> None:
    put(top / f"thermal_zone{number}" / "temp", value)
    if kind is not None:
        put(top / f"thermal_zone{number}" / "type", kind)


def test_temperatures_by_the_zones_names(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal\n", "48250\n")
    zone(tmp_path, 1, None, "-5000\n")
    zone(tmp_path, 2, "cpu-thermal\n", "50000\n")
    assert temperature.Temperature([f"{tmp_path}/*/temp", f"{tmp_path}/*0/temp"]).collect() == {
        "temperature.cpu-thermal_c": 48.25,
        "temperature.thermal_zone1_c": -5.0,
        "temperature.cpu-thermal_thermal_zone2_c": 50.0,
    }


def test_a_zone_that_is_powered_down_hides_no_other(tmp_path: Path) -> None:
    zone(tmp_path, 0, "gpu", "")
    (tmp_path / "thermal_zone1" / "temp").mkdir(parents=True)  # reading fails with an OSError
    zone(tmp_path, 2, "cpu", "1000")
    pattern = [f"{tmp_path}/*/temp"]
    assert temperature.Temperature(pattern).collect() == {"temperature.cpu_c": 1.0}
    (tmp_path / "thermal_zone2" / "temp").unlink()
    with pytest.raises((OSError, ValueError)):
        temperature.Temperature(pattern).collect()


def test_clocks_of_cores(tmp_path: Path) -> None:
    for core, kilohertz in ((0, 1500000), (11, 600000)):
        put(tmp_path / f"cpu{core}" / "cpufreq" / "scaling_cur_freq", f"{kilohertz}\n")
    assert clock.Clock([f"{tmp_path}/cpu*/cpufreq/scaling_cur_freq"]).collect() == {
        "clock.cpu0_mhz": 1500.0,
        "clock.cpu11_mhz": 600.0,
    }


def test_missing_sensors_give_no_values() -> None:
    assert temperature.Temperature(["/nowhere/*/temp"]).collect() == {}
    assert temperature.Temperature([]).collect() == {}
    assert clock.Clock(["/nowhere/*"]).collect() == {}


def test_counters_of_the_service(tmp_path: Path) -> None:
    path = tmp_path / "counters.json"
    assert runtime.Runtime(str(path)).collect() == {}, "nothing was served yet"
    latency = {"count": 2, "sum": 30.0, "p50": 10.5, "p90": None, "p99": None, "max": 20.0}
    put(path, json.dumps({"t": 1, "requests": 3, "errors": 1, "latency_us": latency}))
    assert runtime.Runtime(str(path), "bench").collect() == {
        "bench.requests": 3,
        "bench.errors": 1,
        "bench.latency_count": 2,
        "bench.latency_p50_us": 10.5,
        "bench.latency_max_us": 20.0,
    }


class Given:
    def __init__(self, name: str, answer: object) -> None:
        self.name = name
        self._answer = answer

    def collect(self) -> object:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_a_failing_collector_is_reported_and_stops_no_other() -> None:
    record = collectors.sample(
        [Given("a", {"a.x": 1}), Given("b", OSError(5, "x" * 9999)), Given("c", {"c.y": 2.5})]
    )
    assert record["values"] == {"a.x": 1, "c.y": 2.5}
    assert [told["ok"] for told in record["collectors"].values()] == [True, False, True]
    assert len(record["collectors"]["b"]["error"]) <= collectors.MAX_ERROR
    assert all(told["seconds"] >= 0 for told in record["collectors"].values())
    assert record["t"] > 1_700_000_000


@pytest.mark.parametrize("value", ["7", None, [1], True, math.nan, math.inf])
def test_what_is_no_number_never_gets_into_a_record(value: object) -> None:
    record = collectors.sample([Given("a", {"a.x": value, "a.y": 1})])
    assert record["values"] == {} and not record["collectors"]["a"]["ok"]


@pytest.mark.parametrize("text", ["{", "[]", '{"requests":1}', "x" * 200_000])
def test_broken_counters_are_a_failure_of_that_collector_alone(tmp_path: Path, text: str) -> None:
    path = put(tmp_path / "counters.json", text)
    record = collectors.sample([runtime.Runtime(str(path)), Given("a", {"a.x": 1})])
    assert record["values"] == {"a.x": 1} and not record["collectors"]["runtime"]["ok"]


def test_a_record_of_this_machine(tmp_path: Path) -> None:
    chosen = collectors.for_settings({}, str(tmp_path), str(tmp_path))
    record = collectors.sample(chosen)
    assert all(told["ok"] for told in record["collectors"].values()), record
    assert {"memory.used_mb", "disk.free_mb", "cpu.load1"} <= set(record["values"])
