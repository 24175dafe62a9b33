"""Which of seven shoulder exercises a watch was worn in: a GRU with layer norms.

Data: `seglearn`'s watch data set (BSD), 140 recordings of 10 people, both arms, 6 axes at
50 Hz. Windows of two seconds; half of the people train it, the others judge it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from real_models.fetching import python_package
from real_models.preparing import Arrays, Prepared, project, taken
from zoo.training import exported, seeded, train

PACKAGE = "seglearn==1.2.5"
WINDOW, STEP, HIDDEN, EXERCISES = 100, 50, 64, 7
JUDGES = (2, 4, 6, 8, 10)  # people
STEPS, RATE = 300, 6e-3


def prepare() -> Path:
    return project("watch", __file__, make)


class Watch(nn.Module):
    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.first = nn.GRU(6, HIDDEN, batch_first=True, bidirectional=True)
        self.norm = nn.LayerNorm(2 * HIDDEN)
        self.second = nn.GRU(2 * HIDDEN, HIDDEN, batch_first=True, bidirectional=True)
        self.last = nn.LayerNorm(2 * HIDDEN)
        self.head = nn.Linear(2 * HIDDEN, EXERCISES)

    def forward(self, x: Tensor) -> Tensor:
        """`x` [batch, time, 6] as the sensors give it; logits [batch, exercises]."""
        seen, _ = self.first((x - self.mean) / self.deviation)
        seen, _ = self.second(self.norm(seen))
        return self.head(self.last(seen).mean(1))


def make() -> Prepared:
    samples = windows()
    judging = np.isin(samples["person"], JUDGES)
    seen, others = taken(samples, ~judging), taken(samples, judging)
    with seeded(0):
        flat = torch.from_numpy(seen["x"]).reshape(-1, 6)
        network = Watch(flat.mean(0), flat.std(0))
        train(network, network.parameters(), [seen["x"]], seen["label"], steps=STEPS, rate=RATE)
        example = {"x": torch.from_numpy(others["x"][:3])}
        model = exported(network, example, {"x": {0: torch.export.Dim("batch")}}, ["logits"])
    some = np.random.default_rng(1).permutation(len(seen["x"]))[:256]
    settings = 'clusters = "person"\n'
    return Prepared(model, {"x": seen["x"][some]}, others, settings=settings)


def windows() -> Arrays:
    """`x` float32 [N, WINDOW, 6], `label` and `person` int64 [N]."""
    file = python_package(PACKAGE) / "seglearn" / "data" / "watch_dataset.npy"
    held = np.load(file, allow_pickle=True).item()  # its own way to hold recordings
    cut = [
        (recording[start : start + WINDOW], exercise, person)
        for recording, exercise, person in zip(held["X"], held["y"], held["subject"], strict=True)
        for start in range(0, len(recording) - WINDOW + 1, STEP)
    ]
    x, labels, people = zip(*cut, strict=True)
    return {
        "x": np.stack(x).astype(np.float32),
        "label": np.asarray(labels, np.int64),
        "person": np.asarray(people, np.int64),
    }
