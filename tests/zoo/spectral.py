"""Sound through a spectral front end, then convolutions: all of it in one graph.

A fixed convolution takes the Fourier transform of windowed frames; power, logarithm and
normalisation follow. The sounds are faint beside a hum: powers span nine decades, which a
logarithm can take in and a scale of 255 steps can't.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo.subject import Subject
from zoo.training import exported, seeded, train

LENGTH, FRAME, HOP = 1024, 64, 32
BINS = FRAME // 2 + 1
BANDS, SLOPES = 3, 3
HUM, FAINT, NOISE = 100.0, 0.1, 0.12


class Spectral(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fourier", fourier())
        self.register_buffer("exponent", torch.tensor(2.0))
        self.body = nn.Sequential(
            nn.Conv1d(BINS, 96, 5, padding=2), nn.BatchNorm1d(96), nn.ReLU(),
            nn.Conv1d(96, 192, 3, stride=2, padding=1), nn.BatchNorm1d(192), nn.ReLU(),
            nn.Conv1d(192, 192, 3, padding=1), nn.BatchNorm1d(192), nn.ReLU(),
            nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(192, BANDS * SLOPES),
        )  # fmt: skip

    def forward(self, sound: Tensor) -> Tensor:
        """`sound` [batch, LENGTH]; logits [batch, classes]."""
        parts = nn.functional.conv1d(sound[:, None], self.fourier, stride=HOP)
        real, imaginary = parts.chunk(2, 1)
        power = real.pow(self.exponent) + imaginary.pow(self.exponent)
        decibels = 10 * torch.log10(power + 1e-6)
        mean = decibels.mean((1, 2), keepdim=True)
        deviation = (decibels - mean).pow(self.exponent).mean((1, 2), keepdim=True).sqrt()
        return self.body((decibels - mean) / (deviation + 1e-3))


def fourier() -> Tensor:
    """Cosines and sines under a Hann window: float32 [2 × BINS, 1, FRAME]."""
    at = np.arange(FRAME)
    turns = 2 * np.pi * np.outer(np.arange(BINS), at) / FRAME
    window = 0.5 - 0.5 * np.cos(2 * np.pi * at / FRAME)
    both = np.concatenate([np.cos(turns), -np.sin(turns)]) * window
    return torch.from_numpy(both[:, None].astype(np.float32))


def make() -> Subject:
    with seeded(0):
        network = Spectral()
        sound, labels = sounds(1, 6144)
        train(network, network.parameters(), [sound], labels, steps=250, rate=3e-3)
        axes = {"sound": {0: torch.export.Dim("batch")}}
        model = exported(network, {"sound": torch.from_numpy(sound[:3])}, axes, ["logits"])
    evaluation, truth = sounds(3, 2000)
    return Subject(model, {"sound": sounds(2, 256)[0]}, {"sound": evaluation, "label": truth})


def sounds(seed: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`sound` float32 [count, LENGTH] and labels [count].

    A hum, noise, and one faint tone: the label is in which band it begins, and whether it
    falls, stays or rises.
    """
    random = np.random.default_rng(seed)
    time = np.arange(LENGTH) / LENGTH
    band, slope = random.integers(0, BANDS, (count, 1)), random.integers(0, SLOPES, (count, 1))
    begin = 120 + 110 * band + random.uniform(0, 60, (count, 1))  # cycles in LENGTH; Nyquist 512
    change = 60.0 * (slope - 1)
    phase, shift = random.uniform(0, 2 * np.pi, (2, count, 1))
    tone = FAINT * np.sin(2 * np.pi * (begin * time + change * time**2 / 2) + phase)
    hum = HUM * random.uniform(0.5, 2, (count, 1)) * np.sin(2 * np.pi * 20 * time + shift)
    sound = hum + tone + random.normal(0, NOISE, (count, LENGTH))
    return sound.astype(np.float32), (band * SLOPES + slope)[:, 0]
