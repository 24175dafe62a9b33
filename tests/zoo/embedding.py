"""Embeddings of int32 numbers, summed and handed to dense layers, as recommenders have them.

A few columns of the tables are much larger than the others, the weights behind them smaller
by as much: no answer changes, but one scale for a whole table has no steps left for the rest.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo.subject import Subject
from zoo.training import exported, seeded, train

ITEMS, USERS, HISTORY = 1500, 300, 12
GENRES, TASTES = 8, 4
WIDTH = 32
OUTLIERS = {5: 80.0, 20: 50.0}  # column: by how much it is larger


class Embedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS, WIDTH)
        self.users = nn.Embedding(USERS, WIDTH)
        self.first = nn.Linear(2 * WIDTH, 256)
        self.second = nn.Linear(256, 128)
        self.head = nn.Linear(128, GENRES)

    def forward(self, user: Tensor, items: Tensor) -> Tensor:
        """`user` int32 [batch], `items` int32 [batch, history]; logits [batch, genres]."""
        both = torch.cat([self.users(user), self.items(items).mean(1)], 1)
        return self.head(torch.relu(self.second(torch.relu(self.first(both)))))

    @torch.no_grad()
    def enlarge(self) -> None:
        """Larger columns, and smaller weights behind them: the same function."""
        for at, table in ((0, self.users), (WIDTH, self.items)):
            for column, factor in OUTLIERS.items():
                table.weight[:, column] *= factor
                self.first.weight[:, at + column] /= factor


def make() -> Subject:
    with seeded(0):
        network = Embedding()
        (users, items), labels = visits(1, 32768)
        train(network, network.parameters(), [users, items], labels, steps=1500, rate=1e-2)
        network.enlarge()
        batch = {0: torch.export.Dim("batch")}
        example = {"user": torch.from_numpy(users[:3]), "items": torch.from_numpy(items[:3])}
        model = exported(network, example, dict.fromkeys(example, batch), ["logits"])
    (users, items), _ = visits(2, 512)
    calibration = {"user": users, "items": items}
    (users, items), truth = visits(3, 2000)
    return Subject(model, calibration, {"user": users, "items": items, "label": truth})


def visits(
    seed: int, count: int
) -> tuple[tuple[NDArray[np.int32], NDArray[np.int32]], NDArray[np.int64]]:
    """Users int32 [count] and what they looked at int32 [count, HISTORY], labels [count].

    Every item has a genre and every user a taste. The label is the genre that most items of
    the history have, shifted by the user's taste.
    """
    hidden = np.random.default_rng(0)
    genres, tastes = hidden.integers(0, GENRES, ITEMS), hidden.integers(0, TASTES, USERS)
    random = np.random.default_rng(seed)
    users = random.integers(0, USERS, count)
    favourite = random.integers(0, GENRES, (count, 1))
    members = [np.flatnonzero(genres == genre) for genre in range(GENRES)]
    liked = np.stack([random.choice(own, (count, HISTORY)) for own in members])
    liked = np.take_along_axis(liked, favourite[None], 0)[0]
    often = random.random((count, HISTORY)) < 0.55
    items = np.where(often, liked, random.integers(0, ITEMS, (count, HISTORY)))
    counts = np.stack([(genres[items] == genre).sum(1) for genre in range(GENRES)], 1)
    labels = (counts.argmax(1) + tastes[users]) % GENRES
    return (users.astype(np.int32), items.astype(np.int32)), labels
