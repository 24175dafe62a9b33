"""Training in seconds on one thread, the same each time, and the way to ONNX."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch import Tensor, nn

BATCH = 64
OPSET = 18


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """One thread and a seed of one's own: weights don't depend on what ran before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def train(
    network: Callable[..., Tensor],
    parameters: Iterator[nn.Parameter],
    inputs: Sequence[NDArray[np.generic]],
    labels: NDArray[np.int64],
    *,
    steps: int,
    rate: float,
) -> None:
    """Adam on the cross entropy of random batches, the rate rising and falling once.

    Args:
        network: from a batch of each input to logits [batch, classes].
        inputs: the sample axis first.
    """
    optimiser = torch.optim.AdamW(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    tensors, truth = [torch.from_numpy(array) for array in inputs], torch.from_numpy(labels)
    for _ in range(steps):
        chosen = torch.randint(0, len(labels), (BATCH,))
        loss = nn.functional.cross_entropy(network(*(t[chosen] for t in tensors)), truth[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def exported(
    network: nn.Module,
    example: Mapping[str, Tensor],
    axes: Mapping[str, Mapping[int, Any]],
    outputs: Sequence[str],
) -> ModelProto:
    """The network through torch's exporter; `axes` tells each input's dynamic axes."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # what isn't installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations
        program = torch.onnx.export(
            network.eval(),
            tuple(example.values()),
            dynamo=True,
            dynamic_shapes=tuple(axes.get(name) for name in example),
            input_names=[*example],
            output_names=[*outputs],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return program.model_proto
