"""Made-up results for the report's tests: shaped as a run's, with figures drawn from a seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

NEEDS = {"p50": 1, "p90": 64, "p95": 130, "p97": 219, "p99": 662, "p99.9": 6636}


def digest(letter: str) -> str:
    return "sha256:" + (letter * 64)[:64]


def estimate(value: float, low: float, high: float, samples: int = 1000) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "samples": samples, "method": "wilson"}


def manifest() -> dict[str, Any]:
    operators = [("Conv", 52, "int8"), ("Relu", 22, "int8"), ("Add", 9, "int8")]
    kept = [("Sigmoid", 9, "fp32"), ("Softmax", 1, "fp32"), ("Conv", 2, "fp32")]
    return {
        "schema": "yardarm.bundle/1",
        "project": "text-angle",
        "profile": "raspberry-pi-5",
        "target": "onnxruntime",
        "source": {"file": "model.onnx", "digest": digest("5"), "size": 585_532, "opset": 11},
        "data": {
            "calibration": {"digest": digest("c"), "samples": 200},
            "evaluation": {"digest": digest("e"), "samples": 1000},
        },
        "options": {"method": "percentile", "per_channel": True, "search": {"tried": 4}},
        "tools": {"yardarm": "0.1.0", "onnx": "1.23.2", "onnxruntime": "1.32.0", "numpy": "2.4.6"},
        "model": {"digest": digest("d"), "size": 214_208, "opset": 13},
        "accuracy": {
            "metric": "top1",
            "output": "logits",
            "before": estimate(0.960, 0.946, 0.971),
            "after": estimate(0.956, 0.941, 0.967),
            "drop": estimate(0.004, -0.002, 0.010),
        },
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["N", 3, 48, 192]}],
        "outputs": [{"name": "logits", "dtype": "float32", "shape": ["N", 2]}],
        "nodes": [
            {"name": f"{op}_{kind}_{n}", "op": op, "precision": kind}
            for op, count, kind in operators + kept
            for n in range(count)
        ],
    }


def searched() -> dict[str, Any]:
    """A manifest with all that a search writes; the drop falls as the size grows."""
    body = manifest()
    names = ["all int8", "first in fp32", "four in fp32", "half in fp32", "no node in int8"]
    body["search"] = {
        "aim": {"max_drop": 0.005, "given": True},
        "costs": "bytes and multiplications, not measured",
        "candidates": [
            {
                "name": name,
                "forms": {"int8": 90 - 20 * n, "int8-dynamic": 0, "fp32": 5 + 20 * n},
                "error": 0.02 / 2**n,
                "drop": estimate(0.02 / 2**n, 0.02 / 2**n - 0.006, 0.02 / 2**n + 0.006),
                "size": 200_000 + 50_000 * n,
                "cost": 0.6 + 0.1 * n,
                "meets": n >= 2,
                "pareto": n != 3,
            }
            for n, name in enumerate(names)
        ]
        + [{"name": "given up early", "drop": None, "size": 190_000, "cost": 0.5}],
        "chosen": "four in fp32",
    }
    body["sensitivity"] = [
        {"node": f"/block.{n}/Conv", "op": "Conv", "form": "int8", "error": 0.5**n, "drop": 0.01}
        for n in range(30)
    ]
    body["accuracy"]["groups"] = [
        {
            "group": f"person {n}",
            "samples": 40,
            "before": estimate(0.95 - 0.01 * n, 0.9 - 0.01 * n, 0.97 - 0.01 * n, 40),
            "after": estimate(0.945 - 0.012 * n, 0.9 - 0.012 * n, 0.965 - 0.012 * n, 40),
            "drop": estimate(0.005 + 0.002 * n, -0.01, 0.03, 40),
        }
        for n in range(6)
    ]
    return body


def explanation() -> dict[str, Any]:
    """As `yardarm compile --explain --json` has it."""
    costs = [
        {
            "nodes": [f"Conv_{n}", f"Relu_{n}"],
            "ops": ["Conv", "Relu"],
            "runs": "int8" if n % 3 else "fp32",
            "fp32_us": 20.0,
            "compute_us": 30.0 - 2 * n,
            "convert_us": 0.0 if n % 3 else 6.0,
            "unpack_us": 1.0,
            "written_us": 37.0 - 2 * n,
            "extra_us": 17.0 - 2 * n,
        }
        for n in range(15)
    ]
    island = {"nodes": ["Conv_0", "Relu_0"], "ops": ["Conv", "Relu"]}
    return {
        "difference": {
            "samples": 500,
            "nodes": [
                {
                    "place": n,
                    "node": f"Conv_{n}",
                    "op": "Conv",
                    "tensor": f"c{n}",
                    "snr_db": 12.0 + n if n < 39 else None,
                    "inputs_db": 13.0 + n if n else None,
                    "cosine": 0.9 + n / 1000,
                    "finite": True,
                }
                for n in range(40)
            ],
            "missing": ["Conv_90"],
        },
        "operators": {
            "where": "times of this x86_64 machine, not the device's",
            "emulated": False,
            "fp32_us": 700.0,
            "written_us": 721.0,
            "verdict": "int8 is as fast as fp32: 12 % of its time is converting.",
            "nodes": costs,
            "islands": [island | {"compute_us": 30.0, "convert_us": 6.0}],
        },
    }


def statistics() -> dict[str, Any]:
    draw = random.Random(2)
    return {
        "schema": "yardarm.statistics/1",
        "tensors": {
            f"conv_{n}": {"low": -draw.random(), "high": 6 * draw.random(), "mean": draw.random()}
            for n in range(60)
        },
        "inputs": {},
    }


def audited() -> dict[str, Any]:
    """Statistics with the audit of a set that is too small."""
    tensors = {
        f"conv_{n}": {
            "settling": {"1/8": 0.4 - 0.01 * n, "1/4": 0.3 - 0.01 * n, "1/2": 0.2 - 0.01 * n},
            "saturation": {"used": 0.0001, "held_out": 0.0004 + 0.0001 * n},
        }
        for n in range(15)
    }
    tensors["few"] = {
        "settling": {"1/8": None, "1/4": None, "1/2": 0.0},
        "saturation": {"used": None, "held_out": None},
    }
    audit = {
        "samples": 200,
        "enough": False,
        "verdict": "200 samples are not enough: the range of conv_0 still moves by 20%",
        "tolerance": 0.1,
        "tensors": tensors,
        "dead": {"relu_1": [3, 5], "relu_2": [0]},
    }
    return statistics() | {"audit": audit}


def durations(count: int, *, median: float = 4200.0, seed: int = 7) -> list[float]:
    """Microseconds with a tail, and slower after two thirds, as a throttled device would be."""
    draw = random.Random(seed)
    slower = [1.25 if n > count * 2 / 3 else 1.0 for n in range(count)]
    tails = [draw.expovariate(1 / 1500) if draw.random() < 0.05 else 0.0 for _ in range(count)]
    return [
        median * factor * draw.gauss(1, 0.02) + tail
        for factor, tail in zip(slower, tails, strict=True)
    ]


def latency(samples: list[float]) -> dict[str, Any]:
    starts = [end / 1e6 for end in itertools.accumulate(samples)]
    ordered = sorted(samples)
    count = len(samples)
    supported = {
        name: ordered[min(int(float(name[1:]) / 100 * count), count - 1)] if count >= need else None
        for name, need in NEEDS.items()
    }
    return {
        "scenario": "single-stream",
        "unit": "us",
        "samples": samples,
        "starts_s": starts,
        "percentiles": supported,
        "insufficient": {
            name: {"need": NEEDS[name], "have": count}
            for name, value in supported.items()
            if value is None
        },
        "mean": sum(samples) / count if count else None,
        "min": min(samples, default=None),
        "max": max(samples, default=None),
        "cold": {"import_ms": 1890.4, "load_ms": 212.7, "first_ms": 18.2},
        "floor_us": 1.4,
    }


def records(count: int) -> list[dict[str, Any]]:
    draw = random.Random(3)
    return [
        {
            "seq": n,
            "t": 1_764_000_000.0 + n,
            "values": {
                "cpu.percent": 96 + draw.gauss(0, 2) if 5 < n < count - 5 else 4 + draw.random(),
                "memory.used_mb": 812 + n * 0.3 + draw.random(),
                "disk.free_mb": 21_300.0 - n // 20,
                "temperature.cpu-thermal_c": min(48 + n * 0.4, 81) + draw.random(),
                "clock.cpu0_mhz": 2400.0 if n < 70 else 1800.0,
                "clock.cpu1_mhz": 2400.0 if n < 72 else 1800.0,
                "runtime.requests": float(n * 180),
                "runtime.latency_p50_us": 4200 + draw.gauss(0, 60) if not 40 < n < 50 else None,
                "runtime.latency_p99_us": 5600 + draw.gauss(0, 200),
            },
            "collectors": {
                "cpu": {"ok": True, "seconds": 0.001},
                "throttle": {"ok": n % 40 != 3, "seconds": 0.02, "error": "no such file"},
            },
        }
        for n in range(count)
    ]


def facts() -> dict[str, Any]:
    return {
        "model": "Raspberry Pi 5 Model B Rev 1.0",
        "machine": "aarch64",
        "userland_bits": 64,
        "cores": 4,
        "cpu_part": "0xd0b",
        "features": ["fp", "asimd", "evtstrm", "aes", "pmull", "crc32", "atomics", "asimdhp"],
        "memory_mb": 8455,
        "os": "Debian GNU/Linux 12 (bookworm)",
        "glibc": "2.36",
        "python": "3.11.2",
        "jetpack": "",
        "engines": {"podman": "4.3.1"},
        "free_disk_mb": 21_300,
        "emulated": False,
    }


def surroundings(time: float, degrees: float, load: float) -> dict[str, Any]:
    return {
        "t": time,
        "governors": {"cpu0": "ondemand", "cpu1": "ondemand"},
        "clocks_mhz": {},
        "temperatures_c": {"thermal_zone0 cpu-thermal": degrees},
        "throttled": None,
        "load": [load, 0.3, 0.1],
        "memory": {"total_mb": 8455.3, "available_mb": 7412.8, "resident_mb": 96.1},
    }


def result(
    *, emulated: bool = True, samples: list[float] | None = None, seconds: int = 120
) -> dict[str, Any]:
    body = manifest()
    status = "EMULATED" if emulated else "VALID"
    timed = latency(durations(300) if samples is None else samples)
    lack = timed["insufficient"].get("p99")
    reasons = ["emulated: latency is not the device's"] if emulated else []
    reasons += [f"p99 needs 662 samples, the run has {lack['have']}"] if lack else []
    return {
        "schema": "yardarm.result/1",
        "project": "text-angle",
        "profile": "raspberry-pi-5",
        "host": "lab:pi5" if emulated else "pi@kitchen",
        "created": "2026-03-01T12:34:56Z",
        "emulated": emulated,
        "verdict": {"status": status, "reasons": reasons},
        "device": facts() | {"emulated": emulated},
        "release": {"digest": digest("f"), "version": 3},
        "bundle": {"digest": digest("b"), "manifest": body},
        "image": {
            "digest": digest("a"),
            "config": digest("1"),
            "size_mb": 183.4,
            "contents": {f"library-{n}": f"1.{n}.0-2+deb12u1" for n in range(60)},
        },
        "accuracy": body["accuracy"]
        | {
            "device": estimate(0.955, 0.940, 0.966),
            "agreement": {"same": 998, "samples": 1000},
        },
        "latency": timed,
        "telemetry": {"records": records(seconds)},
        "environment": {
            "before": surroundings(1_764_000_000.25, 48.2, 0.2),
            "after": surroundings(1_764_000_120.5, 80.7, 1.1),
        },
        "cpu": {"machine": "aarch64", "cores": 4},
        "versions": {"python": "3.11.2", "numpy": "1.26.4", "onnxruntime": "1.20.1"},
        "lineage": {
            "git": "0123456789abcdef0123456789abcdef01234567",
            "source": digest("5"),
            "calibration": digest("c"),
            "evaluation": digest("e"),
            "bundle": digest("b"),
            "image": digest("a"),
            "release": digest("f"),
        },
    }


@pytest.fixture(scope="session")
def make_result() -> Callable[..., dict[str, Any]]:
    return result


@pytest.fixture(scope="session")
def make_durations() -> Callable[..., list[float]]:
    return durations


@pytest.fixture(scope="session")
def made_manifest() -> dict[str, Any]:
    return manifest()


@pytest.fixture(scope="session")
def made_statistics() -> dict[str, Any]:
    return statistics()


@pytest.fixture
def searched_manifest() -> dict[str, Any]:
    return searched()


@pytest.fixture
def made_explanation() -> dict[str, Any]:
    return explanation()


@pytest.fixture
def audited_statistics() -> dict[str, Any]:
    return audited()
