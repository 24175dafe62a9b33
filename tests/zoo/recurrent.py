"""An LSTM over sensor channels in their own units, normalised inside the graph.

Time comes first and the batch second; the states it begins with are inputs, the same for
every batch, and the states it ends with are outputs. Channels differ by six decades, so that
one scale for all of them has no steps left for the small ones.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo.subject import Subject
from zoo.training import exported, seeded, train

TIME, CHANNELS, WIDTH, HIDDEN = 24, 6, 32, 128
PULSED = 3  # channels that carry the two pulses
# As of an accelerometer (three axes, m/s²), a barometer (Pa), a thermometer (K), a counter.
OFFSETS = np.array([0.0, 0.0, 9.81, 101325.0, 295.0, 4.0e5])
UNITS = np.array([0.4, 0.4, 0.4, 60.0, 2.0, 3.0e3])
SETTINGS = """\
constant_inputs = ["h", "c"]
input_batch_axis = { x = 1 }
output_batch_axis = { next_h = 1, next_c = 1 }
"""


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.from_numpy(1 / UNITS).float())
        self.register_buffer("shift", torch.from_numpy(-OFFSETS / UNITS).float())
        self.project = nn.Linear(CHANNELS, WIDTH)
        self.recur = nn.LSTM(WIDTH, HIDDEN)
        self.head = nn.Linear(HIDDEN, PULSED * PULSED)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`x` [time, batch, channels], states [1, 1, hidden]; logits [batch, classes]."""
        batch = x.shape[1]
        normal = torch.relu(self.project(x * self.scale + self.shift))
        begin = tuple(state.expand(1, batch, HIDDEN).contiguous() for state in (h, c))
        seen, (next_h, next_c) = self.recur(normal, begin)
        return self.head(seen[-1]), next_h, next_c


def make() -> Subject:
    with seeded(0):
        network = Recurrent()
        state = torch.zeros(1, 1, HIDDEN)
        x, labels = recordings(1, 8192)
        train(
            lambda batch: network(batch.transpose(0, 1), state, state)[0],
            network.parameters(), [x], labels, steps=400, rate=5e-3,
        )  # fmt: skip
        example = {"x": torch.from_numpy(x[:3]).transpose(0, 1), "h": state, "c": state}
        axes = {"x": {0: torch.export.Dim("time"), 1: torch.export.Dim("batch")}}
        model = exported(network, example, axes, ["logits", "next_h", "next_c"])
    states = {name: state.numpy() for name in ("h", "c")}
    evaluation, truth = recordings(3, 2000)
    return Subject(
        model,
        {"x": recordings(2, 256)[0]} | states,
        {"x": evaluation, "label": truth} | states,
        SETTINGS,
    )


def recordings(seed: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`x` float32 [count, TIME, CHANNELS] and labels [count].

    Two pulses in noise, one in each half: the label is which channel had the first and which
    the second.
    """
    random = np.random.default_rng(seed)
    noise = random.normal(0, 1, (count, TIME, CHANNELS))
    channels = random.integers(0, PULSED, (count, 2))
    half = TIME // 2
    starts = random.integers(0, half - 3, (count, 2)) + np.array([0, half])
    rows = np.arange(count)
    for which in range(2):
        for step in range(3):
            noise[rows, starts[:, which] + step, channels[:, which]] += 2.4
    return (noise * UNITS + OFFSETS).astype(np.float32), channels @ [PULSED, 1]
