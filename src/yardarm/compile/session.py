"""Models run on this machine, on one thread that doesn't spin while it waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from yardarm.artifacts import Layout
from yardarm.datasets import Dataset
from yardarm.errors import Unsupported, VerificationFailed

Arrays = dict[str, NDArray[np.generic]]
Feed = Mapping[str, NDArray[np.generic]]
FATAL_ONLY = 4  # errors come as exceptions; onnxruntime would print them as well


class Runner(Protocol):
    """What an engine asks of onnxruntime's session; a torch module can answer it too."""

    def get_inputs(self) -> Sequence[Any]: ...

    def get_outputs(self) -> Sequence[Any]: ...

    def run(self, names: Sequence[str] | None, feed: Feed, /) -> Sequence[Any]: ...


class Engine:
    """A loaded model, from its file or from memory, or one that is loaded already.

    Feeds and answers have the sample axis first, whatever the model's layout is. Batches may
    have any length: where the model fixes its own, they are cut and padded.

    Args:
        layout: where the model has its sample axes, and which inputs are constant.
        leave: onnxruntime's optimisers that shall not run.

    Raises:
        Unsupported: onnxruntime can't load the model (quotes why), or its inputs fix
            different batch lengths.
    """

    def __init__(
        self,
        model: ModelProto | Path | Runner,
        options: onnxruntime.SessionOptions | None = None,
        *,
        layout: Layout | None = None,
        leave: Sequence[str] | None = None,
    ) -> None:
        self.layout = layout or Layout()
        self._session = (
            _loaded(model, options, leave) if isinstance(model, ModelProto | Path) else model
        )
        self.outputs: tuple[str, ...] = tuple(out.name for out in self._session.get_outputs())
        self.inputs: tuple[str, ...] = tuple(entry.name for entry in self._session.get_inputs())
        self._moving = [name for name in self.inputs if name not in self.layout.constant]
        self._length = self._fixed_length() if self.layout.batch else 1

    def types(self) -> dict[str, tuple[str, list[int | str | None]]]:
        """Each output's type, as in "tensor(float)", and its shape."""
        return {out.name: (out.type, out.shape) for out in self._session.get_outputs()}

    def samples(self, feed: Feed) -> int:
        """How many samples a feed holds."""
        return len(feed[self._moving[0]]) if self._moving else 1

    def run(self, feed: Feed) -> Arrays:
        """The outputs for a batch, by name: [samples, …].

        Where samples differ in shape (only with batch 0), an array of arrays.

        Raises:
            VerificationFailed: onnxruntime gives up.
        """
        if self._length is None:
            return self._once(feed)
        samples = self.samples(feed)
        starts = range(0, samples, self._length)
        parts = [self._once(self._piece(feed, start)) for start in starts]
        return {name: joined([part[name] for part in parts])[:samples] for name in self.outputs}

    def over(
        self, dataset: Dataset, batch: int, extra: Sequence[str] = ()
    ) -> Iterator[tuple[Arrays, Arrays]]:
        """Every batch of a data set (with its arrays `extra`), and the outputs for it."""
        for feed in dataset.batches(batch, [*self.inputs, *extra]):
            yield feed, self.run(feed)

    def fed(self, feed: Feed) -> Arrays:
        """A feed as the model itself takes it: as many samples as it insists on, each input
        in its own layout."""
        piece = feed if self._length is None else self._piece(feed, 0)
        return {name: self._put(piece, name) for name in self.inputs}

    def once(self, fed: Feed) -> Arrays:
        """The model's answers in its own layout.

        Raises:
            VerificationFailed: onnxruntime gives up.
        """
        try:
            answers = self._session.run(None, fed)
        except Exception as error:  # noqa: BLE001  as above
            raise VerificationFailed(_reason(error), where="running the model") from None
        return dict(zip(self.outputs, map(np.asarray, answers), strict=True))

    def _once(self, feed: Feed) -> Arrays:
        answers = self.once({name: self._put(feed, name) for name in self.inputs})
        return {name: self._taken(values, name) for name, values in answers.items()}

    def _put(self, feed: Feed, name: str) -> NDArray[np.generic]:
        values = feed[name]
        if name in self.layout.constant:
            return values
        if not self.layout.batch:
            return np.asarray(values[0])
        axis = self.layout.input_axis.get(name, 0)
        return values if axis == 0 else np.ascontiguousarray(np.moveaxis(values, 0, axis))

    def _taken(self, values: NDArray[np.generic], name: str) -> NDArray[np.generic]:
        if not self.layout.batch:
            return values[None]
        axis = self.layout.output_axis.get(name, 0)
        if axis == 0 or not -values.ndim <= axis < values.ndim:
            return values
        return np.moveaxis(values, axis, 0)

    def _piece(self, feed: Feed, start: int) -> Arrays:
        """As many samples as the model insists on; a short end repeats its last one."""
        length = self._length or 1
        chosen = np.minimum(np.arange(start, start + length), self.samples(feed) - 1)
        return {
            name: feed[name][chosen] if name in self._moving else feed[name] for name in self.inputs
        }

    def _fixed_length(self) -> int | None:
        found = set()
        for entry in self._session.get_inputs():
            axis = self.layout.input_axis.get(entry.name, 0)
            fixed = entry.shape and isinstance(entry.shape[axis], int)
            if fixed and entry.name in self._moving:
                found.add(entry.shape[axis])
        if len(found) > 1:
            lengths = ", ".join(map(str, sorted(found)))
            raise Unsupported(f"the model's inputs fix different batch lengths: {lengths}")
        return next(iter(found), None)


def _loaded(
    model: ModelProto | Path,
    options: onnxruntime.SessionOptions | None,
    leave: Sequence[str] | None,
) -> Runner:
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    try:
        session: Runner = onnxruntime.InferenceSession(
            source,
            options or settings(),
            providers=["CPUExecutionProvider"],
            disabled_optimizers=leave and list(leave),
        )
    except Exception as error:  # noqa: BLE001  onnxruntime's errors share no public base
        raise Unsupported(_reason(error), where="onnxruntime loading the model") from None
    return session


def joined(parts: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
    """Parts put together along the sample axis; ragged ones as an array of arrays."""
    whole = [np.atleast_1d(part) for part in parts]
    if len({part.shape[1:] for part in whole}) == 1:
        return np.concatenate(whole)
    samples = [sample for part in whole for sample in part]
    ragged = np.empty(len(samples), object)
    ragged[:] = samples
    return ragged


def settings() -> onnxruntime.SessionOptions:
    """One thread, so that results repeat and a busy machine stays usable.

    int8 kernels as on ARM: else onnxruntime makes int8 unsigned on x86 where it can, leaves
    the other nodes in float32, and sums in 16 bits, which may overflow.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return options


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
