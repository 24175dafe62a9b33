"""Any small graph compiles into one that loads and answers alike, or fails as we say it does."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from hypothesis import HealthCheck, event, example, given, settings

from random_graphs import Recipe, grown, recipes, samples
from yardarm import profiles, project
from yardarm.compile import Engine, compiled
from yardarm.errors import YardarmError
from yardarm.events import silent
from yardarm.store import Store

TOLERANCE = 0.2  # mean squared error of the outputs, relative to their variance
SQUASHED_TWICE = Recipe(
    opset=14, inputs=("ids", "vector", "short ids"), steps=(("Sigmoid", 2), ("Sigmoid", 2)),
    seed=14, batch=None, scale=30.0, outputs=2, names=";",
)  # fmt: skip
"""An output is a sigmoid of a sigmoid."""
NEARLY_CONSTANT = Recipe(
    opset=20, inputs=("image", "short ids", "ids"),
    steps=(
        ("Pool", 40), ("MatMul", 29), ("Pool", 13), ("Conv", 54), ("Add", 43), ("Reshape", 31),
        ("Mul", 30), ("Mul", 11), ("MatMul", 17),
    ),
    seed=467, batch=None, scale=0.01, outputs=1, names="/",
)  # fmt: skip
"""Beside what comes in, a bias is so large that it has more int8 steps than an int32."""
SETTINGS = '[model]\nsource = "model.onnx"\n[data]\ncalibration = "c.npz"\nevaluation = "e.npz"\n'


@settings(
    max_examples=25, derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@example(SQUASHED_TWICE)
@example(NEARLY_CONSTANT)
@given(recipes())
def test_any_graph_compiles_or_is_refused(recipe: Recipe) -> None:
    with tempfile.TemporaryDirectory() as folder:
        opened = _project(Path(folder) / "any", recipe)
        store = Store(Path(folder) / "store")
        try:
            profile = profiles.load("raspberry-pi-5")
            bundle = compiled(opened, profile, store, silent).bundle
        except YardarmError as error:
            event(f"refused: {type(error).__name__}")
            assert error.what
            return
        event("compiled")
        _alike(opened, store.path(bundle.blobs["model.onnx"].digest), recipe)


def _project(folder: Path, recipe: Recipe) -> project.Project:
    """The model with data; its own answers are the labels."""
    folder.mkdir()
    onnx.save(grown(recipe), folder / "model.onnx")
    truth = samples(recipe, 2, 40)
    labels = Engine(folder / "model.onnx").run(truth)["logits"].argmax(1)
    np.savez(folder / "c.npz", **samples(recipe, 1, 32))
    np.savez(folder / "e.npz", **truth, label=labels)
    (folder / project.FILE).write_text(SETTINGS)
    return project.load(folder)


def _alike(opened: project.Project, written: Path, recipe: Recipe) -> None:
    feed = samples(recipe, 3, 24)
    expected, found = Engine(opened.path("model.onnx")).run(feed), Engine(written).run(feed)
    assert [*found] == [*expected]
    for name, values in expected.items():
        assert found[name].shape == values.shape and found[name].dtype == values.dtype
        error = float(np.mean((found[name] - values) ** 2))
        assert error <= TOLERANCE * float(np.var(values)) + 1e-6, name
