"""Models run on this machine, on one thread that doesn't spin while it waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm.datasets import Dataset
from yardarm.errors import Unsupported, VerificationFailed

Arrays = dict[str, NDArray[np.generic]]
Feed = Mapping[str, NDArray[np.generic]]
FATAL_ONLY = 4  # errors come as exceptions; onnxruntime would print them as well


class Engine:
    """A loaded model, from its file or from memory.

    Batches may have any length: where the model fixes its own, they are cut and padded.

    Raises:
        Unsupported: onnxruntime can't load the model (quotes why), or its inputs fix
            different batch lengths.
    """

    def __init__(
        self, model: ModelProto | Path, options: onnxruntime.SessionOptions | None = None
    ) -> None:
        source = str(model) if isinstance(model, Path) else model.SerializeToString()
        try:
            self._session = onnxruntime.InferenceSession(
                source, options or settings(), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001  onnxruntime's errors share no public base
            raise Unsupported(_reason(error), where="onnxruntime loading the model") from None
        self.outputs: tuple[str, ...] = tuple(out.name for out in self._session.get_outputs())
        self.inputs: tuple[str, ...] = tuple(entry.name for entry in self._session.get_inputs())
        self._length = _fixed_length(self._session.get_inputs())

    def run(self, feed: Feed) -> Arrays:
        """The outputs for a batch. Raises VerificationFailed where onnxruntime gives up."""
        if self._length is None:
            return self._once(feed)
        samples = len(feed[self.inputs[0]])
        starts = range(0, samples, self._length)
        parts = [self._once(self._piece(feed, start)) for start in starts]
        return {name: _join([part[name] for part in parts], samples) for name in self.outputs}

    def over(
        self, dataset: Dataset, batch: int, extra: Sequence[str] = ()
    ) -> Iterator[tuple[Arrays, Arrays]]:
        """Every batch of a data set (with its arrays `extra`), and the outputs for it."""
        for feed in dataset.batches(batch, [*self.inputs, *extra]):
            yield feed, self.run(feed)

    def _once(self, feed: Feed) -> Arrays:
        try:
            answers = self._session.run(None, {name: feed[name] for name in self.inputs})
        except Exception as error:  # noqa: BLE001  as above
            raise VerificationFailed(
                _reason(error), where="onnxruntime running the model"
            ) from None
        return dict(zip(self.outputs, answers, strict=True))

    def _piece(self, feed: Feed, start: int) -> Arrays:
        """As many samples as the model insists on; a short end repeats its last one."""
        length = self._length or 1
        last = len(feed[self.inputs[0]]) - 1
        chosen = np.minimum(np.arange(start, start + length), last)
        return {name: feed[name][chosen] for name in self.inputs}


def settings() -> onnxruntime.SessionOptions:
    """One thread, so that results repeat and a busy machine stays usable."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _fixed_length(entries: Sequence[Any]) -> int | None:
    found = {entry.shape[0] for entry in entries if entry.shape and isinstance(entry.shape[0], int)}
    if len(found) > 1:
        lengths = ", ".join(map(str, sorted(found)))
        raise Unsupported(f"the model's inputs fix different batch lengths: {lengths}")
    return next(iter(found), None)


def _join(parts: list[NDArray[np.generic]], samples: int) -> NDArray[np.generic]:
    return np.concatenate([np.atleast_1d(part) for part in parts])[:samples]


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
