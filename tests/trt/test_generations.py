"""What our builder asks of each generation, shown with fakes of them."""

from __future__ import annotations

from typing import Any

import pytest

from trt import fakes, small_graphs
from trt.fakes import plan
from yardarm_runtime.problems import Problem
from yardarm_runtime.selftest import model
from yardarm_runtime.tensorrt import builder
from yardarm_runtime.tensorrt.generation import generation_of
from yardarm_runtime.tensorrt.options import Options, Profile

EIGHT = ("8.4", "8.5", "8.6")
NEWER = ("10.3", "11.4")
ALL = EIGHT + NEWER
TYPED = Options(version="10.3")
LOOSE = Options(version="8.6", strongly_typed=False)
BATCHES = {"x": Profile((1, 3, 8, 8), (2, 3, 8, 8), (4, 3, 8, 8))}


def asked(name: str) -> Options:
    return LOOSE if name in EIGHT else TYPED


def header(trt: Any, data: bytes, options: Options, **more: Any) -> plan.Header:
    return plan.read(bytes(builder.build(trt, data, options, **more).plan))[0]


def refused(trt: Any, data: bytes, options: Options) -> str:
    with pytest.raises(Problem) as caught:
        builder.build(trt, data, options)
    return str(caught.value)


@pytest.mark.parametrize("name", ALL)
def test_float32_means_float32(name: str) -> None:
    made = header(fakes.tensorrt(name), small_graphs.convolution(1), asked(name))
    assert made.flags == [], "TF32 is a flag that TensorRT sets by itself"
    assert made.strongly_typed == (name not in EIGHT)


@pytest.mark.parametrize("name", EIGHT)
def test_eight_gets_flags_for_what_the_file_does_not_say(name: str) -> None:
    quantized = model.make("int8", typed=False).file
    options = LOOSE._replace(flags=frozenset(["int8", "fp16"]))
    assert header(fakes.tensorrt(name), quantized, options).flags == ["FP16", "INT8"]


@pytest.mark.parametrize("name", EIGHT)
def test_eight_keeps_the_named_layers_float32(name: str) -> None:
    options = LOOSE._replace(flags=frozenset(["fp16"]), float32=frozenset(["act", "gone"]))
    trt = fakes.tensorrt(name)
    built = builder.build(trt, small_graphs.convolution(1), options)
    assert fakes.calls(trt).count("ILayer.set_output_type") == 1, "else it rounds its answer"
    made = plan.read(bytes(built.plan))[0]
    assert made.flags == ["FP16", "OBEY_PRECISION_CONSTRAINTS"] and made.float32 == ["act"]
    assert built.notes == ["no layer is called 'gone', which should stay float32"]


@pytest.mark.parametrize("name", EIGHT)
def test_eight_keeps_all_layers_of_a_node_float32(name: str) -> None:
    """The parser makes several of one, and does not name all of them."""
    options = LOOSE._replace(flags=frozenset(["fp16"]), float32=frozenset(["act"]))
    data = small_graphs.convolution(1, "LogSoftmax")
    made = header(fakes.tensorrt(name), data, options)
    unnamed = [f"(Unnamed Layer* {place}) [Shuffle]" for place in (1, 4)]
    assert made.float32 == [unnamed[0], "act", "act_0", unnamed[1]]
    beside = header(fakes.tensorrt(name), data, options._replace(float32=frozenset(["conv"])))
    assert beside.float32 == ["conv", unnamed[0]], "whose that is nothing tells"


@pytest.mark.parametrize("name", EIGHT)
def test_eight_keeps_what_only_reads_floats_float32(name: str) -> None:
    """A comparison, whose answers are no floats, is of float16 too where nobody says otherwise."""
    options = LOOSE._replace(flags=frozenset(["fp16"]), float32=frozenset(["compare"]))
    trt = fakes.tensorrt(name)
    assert header(trt, small_graphs.compared(), options).float32 == ["compare"]
    assert "ILayer.set_output_type" not in fakes.calls(trt)


@pytest.mark.parametrize("name", ALL)
def test_pool_profiles_and_level_are_those_asked_for(name: str) -> None:
    options = asked(name)._replace(profiles=BATCHES, optimization_level=5, workspace_mb=77)
    trt = fakes.tensorrt(name)
    made = header(trt, small_graphs.convolution(), options)
    assert made.profiles == [{"x": [[1, 3, 8, 8], [2, 3, 8, 8], [4, 3, 8, 8]]}]
    assert made.workspace == 77 << 20
    assert made.optimization_level == (3 if name in ("8.4", "8.5") else 5)
    assert header(trt, small_graphs.convolution(), options, workspace=9 << 20).workspace == 9 << 20


@pytest.mark.parametrize("name", ALL)
def test_parse_errors_come_together_with_node_and_operator(name: str) -> None:
    told = refused(fakes.tensorrt(name), small_graphs.unsupported(), asked(name))
    assert "node 'determinant' (Det)" in told and "node 'uniques' (Unique)" in told


@pytest.mark.parametrize("name", ALL)
def test_an_input_of_any_length_needs_a_profile(name: str) -> None:
    told = refused(fakes.tensorrt(name), small_graphs.convolution(), asked(name))
    assert "inputs ['x'] have axes of any length, and no profile" in told


@pytest.mark.parametrize("name", ALL)
def test_a_bundle_of_another_generation_is_refused_first(name: str) -> None:
    trt = fakes.tensorrt(name)
    other = TYPED if name in EIGHT else LOOSE
    assert f"compiled for TensorRT {other.version}" in refused(trt, b"never read", other)
    assert fakes.calls(trt) == []


@pytest.mark.parametrize("name", ALL)
def test_out_of_memory_is_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TENSORRT_FAULT", "out of memory while building")
    told = refused(fakes.tensorrt(name), small_graphs.convolution(1), asked(name))
    assert "ran out of memory with a pool of 1024 MiB" in told and "workspace_mb" in told


@pytest.mark.parametrize("name", ALL)
def test_a_build_is_not_silent(name: str) -> None:
    told: list[tuple[str, int, int]] = []
    builder.build(
        fakes.tensorrt(name),
        small_graphs.convolution(1),
        asked(name),
        progress=lambda *line: told.append(line),
        timing=b"foreign",  # of which TensorRT warns
    )
    assert told[:2] == [("parsing", 0, 1), ("parsing", 1, 1)]
    if name in EIGHT:
        assert any(phase.startswith("building: Failed to deserialize") for phase, _, _ in told)
    else:
        assert told[-1] == ("building: Building engine", 3, 3)


@pytest.mark.parametrize("name", ALL)
def test_what_one_build_measured_serves_the_next(name: str) -> None:
    trt = fakes.tensorrt(name)
    first = builder.build(trt, small_graphs.convolution(1), asked(name))
    second = builder.build(trt, small_graphs.convolution(1), asked(name), timing=first.timing)
    counts = [int(made.timing.split()[-1]) for made in (first, second)]
    assert counts == [2, 4] and second.notes == []


def test_timings_that_tensorrt_refuses_are_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    trt = fakes.tensorrt("10.3")
    whole = trt.IBuilderConfig.set_timing_cache

    def strict(config: Any, cache: Any, ignore_mismatch: bool) -> bool:
        return whole(config, cache, ignore_mismatch) and not cache._entries

    first = builder.build(trt, small_graphs.convolution(1), TYPED)
    monkeypatch.setattr(trt.IBuilderConfig, "set_timing_cache", strict)
    second = builder.build(trt, small_graphs.convolution(1), TYPED, timing=first.timing)
    assert second.notes == ["the timing cache is not this device's: it is begun anew"]
    assert second.timing == first.timing


@pytest.mark.parametrize("version", ["8.2.1", "9.1.0", "7", "none"])
def test_other_versions_are_refused(version: str) -> None:
    trt = fakes.tensorrt("8.6")
    trt.__version__ = version
    with pytest.raises(Problem, match="TensorRT"):
        generation_of(trt)
