"""Factories as a project has them, good ones and bad ones: `source = "torch_nets:small"`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.activation = nn.Hardswish()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.norm(self.conv(x)))


class Small(nn.Module):
    """Two inputs, and outputs with names."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(Block(), nn.MaxPool2d(2))
        self.head = nn.Linear(8 * 9, 4)

    def forward(self, image: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.body(image).flatten(1) * scale
        return {"logits": self.head(features), "features": features}


def small() -> Any:
    print("this must not reach stdout")  # noqa: T201
    torch.manual_seed(3)
    module = Small()
    nn.init.normal_(module.body[0].norm.running_mean)
    return module.train(), (torch.randn(1, 3, 6, 6), torch.ones(1, 1))


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.query, self.key = nn.Linear(8, 8), nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor, keep: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.table(ids)
        products = self.query(x) @ self.key(x).transpose(1, 2)
        weights = products.masked_fill(~keep[:, None, :], -1e4).softmax(-1)
        x = self.norm(weights @ x + x)
        return self.head(x.mean(1)), nn.functional.gelu(x)


def words() -> Any:
    """Lengths that vary, told by `dynamic_shapes`; outputs named by the factory."""
    torch.manual_seed(4)
    examples = {"ids": torch.ones(2, 7, dtype=torch.long), "keep": torch.ones(2, 7).bool()}
    batch, length = torch.export.Dim("n"), torch.export.Dim("t")
    shapes = {name: {0: batch, 1: length} for name in examples}
    return Words(), examples, shapes, ["classes", "states"]


class Branching(nn.Module):
    """Which way it goes depends on values: an export can only take one of them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.sum() > 0 else x - 1


def branching() -> Any:
    return Branching(), (torch.ones(2, 3),)


class Fixed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(4, 3) * torch.arange(4)[:, None]


def fixed() -> Any:
    return Fixed(), torch.ones(4, 3)


class Echo(nn.Module):
    """An argument, a parameter and an answer with one name; arguments without names."""

    def __init__(self) -> None:
        super().__init__()
        self.state = nn.Parameter(torch.full((3,), 2.0))

    def forward(self, state: torch.Tensor, *more: torch.Tensor) -> dict[str, Any]:
        return {"state": state * self.state, "all": [state, more[0] + 1], "none": None}


def echo() -> Any:
    return Echo(), (torch.ones(1, 3), torch.ones(1, 3))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(4, 5, batch_first=True)

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        return self.cell(x, h)[0][:, -1]


def recurrent() -> Any:
    torch.manual_seed(5)
    return Recurrent(), (torch.randn(1, 6, 4), torch.zeros(1, 1, 5))


class Hopeless(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(x).real


def hopeless() -> Any:
    return Hopeless(), (torch.eye(3)[None],)


def raising() -> Any:
    raise ValueError("no weights here")


def alone() -> Any:
    return Small()


def other() -> Any:
    return {"module": 1}, (torch.ones(1),)


def textual() -> Any:
    return Small(), ("one", "two")


def short() -> Any:
    return Small(), (torch.ones(1, 3, 6, 6),)


def misshapen() -> Any:
    return Small(), (torch.ones(1, 5, 6, 6), torch.ones(1, 1))
