"""A small encoder as they come from torch: attention, layer norms, GELU, three integer inputs.

Its layer norms have a few channels with large gains, as those of trained transformers have
(T. Dettmers et al., "LLM.int8()", 2022). Here the weights that follow are smaller by as
much, so that they change no answer: but one scale for a whole tensor has no steps left for
the other channels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo.subject import Subject
from zoo.training import exported, seeded, train

WORDS, GROUPS, MODES, LENGTH = 96, 6, 4, 16
WIDTH, HEADS, LAYERS = 64, 4, 2
OUTLIERS = {3: 120.0, 40: 80.0}  # channel: by how much its gain is larger
NAMES = ("input_ids", "attention_mask", "token_type_ids")


class Block(nn.Module):
    """Attention and a feed-forward net, each behind its layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH)
        self.attend = nn.Linear(WIDTH, 3 * WIDTH)
        self.merge = nn.Linear(WIDTH, WIDTH)
        self.before_feed = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        batch, length, _ = x.shape
        parts = self.attend(self.before_attention(x)).chunk(3, -1)
        shape = (batch, length, HEADS, WIDTH // HEADS)
        query, key, value = (part.reshape(shape).transpose(1, 2) for part in parts)
        scores = query @ key.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
        seen = torch.softmax(scores + bias, -1) @ value
        x = x + self.merge(seen.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.down(nn.functional.gelu(self.up(self.before_feed(x))))

    @torch.no_grad()
    def enlarge(self) -> None:
        """Larger gains, and smaller weights behind them: the same function."""
        for norm, linear in ((self.before_attention, self.attend), (self.before_feed, self.up)):
            for channel, factor in OUTLIERS.items():
                norm.weight[channel] *= factor
                norm.bias[channel] *= factor
                linear.weight[:, channel] /= factor


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.segments = nn.Embedding(2, WIDTH)
        self.positions = nn.Embedding(2 * LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, GROUPS)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        x = self.words(input_ids) + self.segments(token_type_ids)
        x = x + self.positions(torch.arange(input_ids.shape[1]))
        bias = (1.0 - attention_mask[:, None, None, :].float()) * -1e4
        for block in self.blocks:
            x = block(x, bias)
        return self.head(self.norm(x[:, 0]))


def make() -> Subject:
    with seeded(0):
        network = Encoder()
        inputs, labels = sentences(1, 16384)
        train(network, network.parameters(), inputs, labels, steps=500, rate=5e-3)
        for block in network.blocks:
            block.enlarge()
        axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=2 * LENGTH)}
        example = {name: torch.ones(2, LENGTH, dtype=torch.int64) for name in NAMES}
        model = exported(network, example, dict.fromkeys(NAMES, axes), ["logits"])
    calibration, _ = sentences(2, 256)
    evaluation, truth = sentences(3, 2000)
    return Subject(
        model,
        dict(zip(NAMES, calibration, strict=True)),
        dict(zip(NAMES, evaluation, strict=True)) | {"label": truth},
    )


def sentences(seed: int, count: int) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Words, mask and segments [count, LENGTH], and labels [count].

    Every word belongs to a group. The label is the group that most words of the second
    segment have, shifted by the first word of the first segment: only attention can tell.
    """
    random = np.random.default_rng(seed)
    groups = np.random.default_rng(0).integers(0, GROUPS, WORDS)
    positions = np.arange(LENGTH)
    mask = positions < random.integers(10, LENGTH + 1, (count, 1))
    second = (positions >= random.integers(2, 5, (count, 1))) & mask
    words = random.integers(MODES, WORDS, (count, LENGTH))
    favourite = random.integers(0, GROUPS, (count, 1))
    drawn = _of_group(random, groups, np.broadcast_to(favourite, words.shape))
    words = np.where(second & (random.random(words.shape) < 0.5), drawn, words)
    words[:, 0] = random.integers(0, MODES, count)
    counts = np.stack([((groups[words] == g) & second).sum(1) for g in range(GROUPS)], 1)
    labels = ((counts + random.random(counts.shape) / 10).argmax(1) + words[:, 0]) % GROUPS
    return [array.astype(np.int64) for array in (words * mask, mask, second)], labels


def _of_group(
    random: np.random.Generator, groups: NDArray[np.int64], wanted: NDArray[np.int64]
) -> NDArray[np.int64]:
    """A random word of each wanted group."""
    drawn = np.empty_like(wanted)
    for group in range(GROUPS):
        members = MODES + np.flatnonzero(groups[MODES:] == group)
        drawn[wanted == group] = random.choice(members, (wanted == group).sum())
    return drawn
