"""Our builder with a real parser and a real builder: TensorRT-RTX's, which need no GPU.

What is shown is that they accept and build these graphs, never that an engine runs.
"""

from __future__ import annotations

from typing import Any

import pytest
import tensorrt_rtx

from trt import small_graphs
from yardarm_runtime.problems import Problem
from yardarm_runtime.selftest import model
from yardarm_runtime.tensorrt.builder import Built, build
from yardarm_runtime.tensorrt.options import Options, Profile

SM = 86
PLAIN = Options()
ANY_BATCH = {"x": Profile((1, 3, 8, 8), (2, 3, 8, 8), (4, 3, 8, 8))}
FIXED = Profile((1, 3, 8, 8), (1, 3, 8, 8), (1, 3, 8, 8))


def built(data: bytes, options: Options = PLAIN, **wishes: Any) -> Built:
    return build(tensorrt_rtx, data, options, **{"sm": SM, **wishes})


def refused(data: bytes, options: Options = PLAIN, **wishes: Any) -> str:
    with pytest.raises(Problem) as caught:
        built(data, options, **wishes)
    return str(caught.value)


@pytest.mark.parametrize("kind", model.KINDS)
def test_the_selftests_models_build(kind: str) -> None:
    made = built(model.make(kind, typed=True).file)
    assert made.plan.nbytes > 10_000 and made.notes == [] and made.seconds > 0


def test_a_model_of_any_batch_builds_and_tells_its_phases() -> None:
    told: list[tuple[str, int, int]] = []
    made = built(
        small_graphs.convolution(),
        Options(profiles=ANY_BATCH),
        progress=lambda *line: told.append(line),
    )
    assert made.plan.nbytes and told[:2] == [("parsing", 0, 1), ("parsing", 1, 1)]
    phases = [(done, total) for phase, done, total in told if phase == "building: Building engine"]
    assert phases and phases[-1][0] == phases[-1][1] > 0
    assert all(0 <= done <= total for _, done, total in told)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (small_graphs.convolution(), Options(), "'x'] have axes of any length, and no profile"),
        (small_graphs.convolution(1), Options(profiles={"q": FIXED}), "'q'], which are no inputs"),
        (
            small_graphs.convolution(),
            Options(profiles={"x": Profile((1, 3, 8, 9), (1, 3, 8, 9), (1, 3, 8, 9))}),
            "Dimension mismatch for tensor x",
        ),
        (
            small_graphs.convolution(),
            Options(profiles={"x": Profile((4, 3, 8, 8), (2, 3, 8, 8), (1, 3, 8, 8))}),
            "x",
        ),
        (small_graphs.convolution(1), Options(workspace_mb=1), "raise workspace_mb"),
        (b"no model", Options(), "can't parse the model"),
        (
            small_graphs.convolution(1),
            Options(version="8.6", strongly_typed=False),
            "compiled for TensorRT 8.6, this is TensorRT-RTX",
        ),
    ],
)
def test_what_can_t_be_built_is_told(data: bytes, options: Options, message: str) -> None:
    assert message in refused(data, options)


def test_parse_errors_are_told_together_with_node_and_operator() -> None:
    told = refused(small_graphs.unsupported())
    assert "node 'determinant' (Det)" in told and "node 'uniques' (Unique)" in told


def test_a_gpu_that_is_not_built_for_is_told() -> None:
    assert "SM 87" in refused(small_graphs.convolution(1), sm=87)
