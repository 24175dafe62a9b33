"""What a written model loses on samples that its compiler did not see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from real_models.preparing import HELD_OUT, Arrays
from yardarm import metrics
from yardarm.compile import Engine
from yardarm.datasets import open_dataset
from yardarm.metrics import Comparison
from yardarm.project import Project

TOGETHER = 500


def held_out(project: Project) -> Iterator[Arrays]:
    """The held-out samples; where there are none, those of the evaluation set."""
    file = project.path(HELD_OUT)
    chosen = file if file.is_file() else project.path(project.data.evaluation)
    yield from open_dataset(chosen, project.layout).batches(TOGETHER)


def compared(
    project: Project, models: Mapping[str, Path], feeds: Iterable[Arrays]
) -> dict[str, Comparison]:
    """Each model beside the original, all over the same samples in one pass."""
    files = {"fp32": project.path(project.model.source), **models}
    engines = {name: Engine(file, layout=project.layout) for name, file in files.items()}
    output = project.metric.output or engines["fp32"].outputs[0]
    answers: dict[str, list[np.ndarray]] = {name: [] for name in engines}
    known: dict[str, list[np.ndarray]] = {"label": [], "clusters": []}
    for feed in feeds:
        for name, engine in engines.items():
            answers[name].append(engine.run(feed)[output])
        known["label"].append(feed["label"])
        if project.data.clusters:
            known["clusters"].append(feed[project.data.clusters])
    scored = {name: {output: np.concatenate(parts)} for name, parts in answers.items()}
    labels = np.concatenate(known["label"])
    clusters = np.concatenate(known["clusters"]) if known["clusters"] else None
    return {
        name: metrics.compare(project.metric, scored["fp32"], scored[name], labels, clusters)
        for name in models
    }
