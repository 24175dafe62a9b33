"""What models become on their way to TensorRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from yardarm import profiles, project
from yardarm.compile import target
from yardarm.compile.sources import importing

SETTINGS = '[model]\nsource = "m"\n[data]\ncalibration = "c"\nevaluation = "e"\n[tensorrt]\n'


@pytest.mark.parametrize(("jetpack", "opset"), [("5.1", 13), ("6.1", 19)])
def test_operator_sets_are_those_in_which_scales_can_be_written(
    tmp_path: Path, jetpack: str, opset: int
) -> None:
    """Whatever a profile of the user's own allows."""
    (tmp_path / project.FILE).write_text(f'{SETTINGS}jetpack = "{jetpack}"\n')
    opened, chosen = project.load(tmp_path), profiles.load("jetson-orin-nano-8gb")
    wide = chosen.runtime.model_copy(update={"opset_min": 9})
    profile = target.for_target(opened, chosen.model_copy(update={"runtime": wide}))
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy"]
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", ports[:1], ports[1:], [weight])
    old = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    made = target.normalised(old, opened, profile, {"x": np.ones((2, 4), np.float32)})
    assert importing.opset(made) == opset
