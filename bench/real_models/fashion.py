"""Clothes: a small MobileNetV3 (depthwise, batch norm, hard-swish, squeeze and excitation).

Data: Debian's dataset-fashion-mnist (MIT), 60,000 pictures to train with and 10,000 to judge.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from real_models.fetching import debian_package
from real_models.preparing import Arrays, Prepared, idx, project, taken
from zoo.training import exported, seeded, train

PACKAGE = "dataset-fashion-mnist"
# Channels in, inside, out; stride: of one block after the other.
BLOCKS = ((16, 48, 24, 2), (24, 72, 24, 1), (24, 96, 40, 2), (40, 160, 40, 1), (40, 160, 48, 1))
STEPS, RATE = 2400, 6e-3


def prepare() -> Path:
    return project("fashion", __file__, make)


class Squeeze(nn.Module):
    """Channels weighed by what the whole picture has of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, width // 8, 1), nn.ReLU(), nn.Conv2d(width // 8, width, 1),
            nn.Hardsigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weigh(x)


class Block(nn.Module):
    def __init__(self, before: int, inside: int, after: int, stride: int) -> None:
        super().__init__()
        self.residual = before == after and stride == 1
        self.body = nn.Sequential(
            nn.Conv2d(before, inside, 1, bias=False), nn.BatchNorm2d(inside), nn.Hardswish(),
            nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False),
            nn.BatchNorm2d(inside), nn.Hardswish(), Squeeze(inside),
            nn.Conv2d(inside, after, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
        *(Block(*block) for block in BLOCKS),
        nn.Conv2d(48, 192, 1, bias=False), nn.BatchNorm2d(192), nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(192, 10),
    )  # fmt: skip


def make() -> Prepared:
    training, test = clothes("train"), clothes("t10k")
    chosen = np.random.default_rng(1).permutation(len(training["x"]))
    seen, evaluation = taken(training, chosen[2000:]), taken(training, chosen[:2000])
    with seeded(0):
        net = network()
        train(net, net.parameters(), [seen["x"]], seen["label"], steps=STEPS, rate=RATE)
        example = {"x": torch.from_numpy(test["x"][:3])}
        model = exported(net, example, {"x": {0: torch.export.Dim("batch")}}, ["logits"])
    return Prepared(model, {"x": seen["x"][:256]}, evaluation, test)


def clothes(part: str) -> Arrays:
    """`x` float32 [N, 1, 28, 28] in -1..1, `label` int64 [N]."""
    folder = debian_package(PACKAGE) / "usr" / "share" / "datasets" / "fashion-mnist"
    pixels, labels = (
        idx(gzip.decompress((folder / f"{part}-{rest}-ubyte.gz").read_bytes()))
        for rest in ("images-idx3", "labels-idx1")
    )
    x = (pixels[:, None].astype(np.float32) / 255 - 0.5) / 0.5
    return {"x": x, "label": labels.astype(np.int64)}
