"""The second route: onnxruntime's providers for GPUs, which no wheel here has. The session is a
real one on the CPU that says it were on a GPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from yardarm_runtime.engines import Place, open_engine, provider
from yardarm_runtime.engines.onnxruntime import CPU
from yardarm_runtime.engines.provider import CUDA, NO_CPU, TENSORRT
from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt.options import Options, Profile

INPUT = "x/in:0"
WISHES = {
    "version": "10.3",
    "strongly_typed": True,
    "profiles": {INPUT: {"min": [1, 8], "opt": [4, 8], "max": [32, 8]}},
    "workspace_mb": 256,
    "optimization_level": 2,
}


class Gpu:
    """What the sessions were asked for, and what they claim."""

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []
        self.offered = [TENSORRT, CUDA, CPU]
        self.loads = [TENSORRT, CUDA]
        self.whole = True

    def session(self, path: str, options: Any, providers: list[Any]) -> Any:
        self.asked.append(providers)
        strict = NO_CPU in options_of(options)
        if strict and not self.whole:
            raise RuntimeError("nodes are assigned to the CPU, and that is disabled")
        made = REAL(path, options_of.plain, providers=[CPU])
        names = [item if isinstance(item, str) else item[0] for item in providers]
        made.get_providers = lambda: [name for name in names if name in (*self.loads, CPU)]
        return made


REAL = onnxruntime.InferenceSession


class _Options:
    """Which entries a session's options have, and options without any."""

    plain = onnxruntime.SessionOptions()

    def __call__(self, options: Any) -> dict[str, str]:
        try:
            return {NO_CPU: options.get_session_config_entry(NO_CPU)}
        except Exception:  # noqa: BLE001 - the binding's own
            return {}


options_of = _Options()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    made = Gpu()
    monkeypatch.setattr(onnxruntime, "InferenceSession", made.session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: made.offered)
    return made


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Path:
    made: Path = make_bundle()
    body = {"target": "tensorrt", "tensorrt": WISHES}
    (made / "manifest.json").write_text(json.dumps(body))
    return made


def opened(bundle: Path, engines: Path | None = None) -> Any:
    place = Place(None if engines is None else str(engines))
    return open_engine(str(bundle), 1, place, lambda *_: None)


def test_tensorrt_missing_leaves_the_providers(gpu: Gpu, bundle: Path, samples: Any) -> None:
    engine = opened(bundle)
    assert engine.facts() == {
        "route": f"onnxruntime on {TENSORRT}",
        "providers": [TENSORRT, CUDA],
    }
    assert engine.run({INPUT: samples[:2]})["y.npy"].shape == (2, 3)
    assert [name for name, _ in gpu.asked[0]] == [TENSORRT, CUDA], "and no CPU"
    assert engine.for_answers(8) is engine


def test_what_runs_partly_on_the_cpu_says_so(gpu: Gpu, bundle: Path) -> None:
    gpu.whole = False
    facts = opened(bundle).facts()
    assert facts["notes"] == [provider.PARTLY] and facts["providers"][-1] == CPU


def test_never_the_cpu_alone(gpu: Gpu, bundle: Path) -> None:
    gpu.loads = []
    with pytest.raises(Problem, match="loads none of them"):
        opened(bundle)
    gpu.offered = [CPU]
    with pytest.raises(Problem, match="JetPack base image"):
        opened(bundle)


def test_the_provider_is_told_what_the_manifest_asks_for(
    gpu: Gpu, bundle: Path, tmp_path: Path
) -> None:
    opened(bundle, tmp_path / "engines")
    told = dict(gpu.asked[0])[TENSORRT]
    assert told["trt_profile_min_shapes"] == f"{INPUT}:1x8"
    assert told["trt_profile_max_shapes"] == f"{INPUT}:32x8"
    assert told["trt_max_workspace_size"] == str(256 << 20)
    assert told["trt_engine_cache_path"] == str(tmp_path / "engines" / "onnxruntime")
    assert (tmp_path / "engines" / "onnxruntime").is_dir()
    assert dict(gpu.asked[0])[CUDA] == {}


def test_flags_are_those_of_the_manifest_where_types_are_not_in_the_file() -> None:
    two = {"a": Profile((1,), (2,), (3,)), "b": Profile((1, 4), (1, 4), (1, 4))}
    loose = Options(strongly_typed=False, flags=frozenset(["fp16"]), profiles=two)
    told = provider.provider_options(loose, None)
    assert (told["trt_fp16_enable"], told["trt_int8_enable"]) == ("1", "0")
    assert told["trt_profile_opt_shapes"] == "a:2,b:1x4"
    assert "trt_engine_cache_enable" not in told


def test_an_engine_of_ours_is_not_needed_there(gpu: Gpu, bundle: Path) -> None:
    from yardarm_runtime import building

    assert building.key(str(bundle), Place()) == {"key": None, "present": False}
    assert np.all(gpu.asked == [])


def test_where_nothing_can_be_kept_nothing_is(gpu: Gpu, bundle: Path) -> None:
    opened(bundle, Path("/proc/none"))
    assert "trt_engine_cache_path" not in dict(gpu.asked[0])[TENSORRT]
