"""A torch module behind the few methods that an engine asks of onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from yardarm.compile.sources import torch_library
from yardarm.compile.sources.torch_source import TorchSource

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Entry:
    """An input or output as onnxruntime tells it: free lengths are no numbers."""

    name: str
    shape: list[int | str]


class TorchSession:
    """Answers as the module does.

    Args:
        model: its ONNX form, which knows the lengths that are free.
    """

    def __init__(self, source: TorchSource, model: ModelProto) -> None:
        self._source = source
        self._inputs = [_entry(value) for value in model.graph.input]
        self._outputs = [_entry(value) for value in model.graph.output]

    def get_inputs(self) -> list[Entry]:
        return self._inputs

    def get_outputs(self) -> list[Entry]:
        return self._outputs

    def run(self, _names: Sequence[str] | None, feed: Arrays) -> list[NDArray[np.generic]]:
        """The outputs in their order. Raises whatever the module raises."""
        library = torch_library.torch()
        arguments, keywords = _arguments(self._source, feed)
        with torch_library.quietly(), library.no_grad():
            answers = self._source.module(*arguments, **keywords)
        leaves = library.utils._pytree.tree_leaves(answers)
        return [leaf.numpy() for leaf in leaves if isinstance(leaf, library.Tensor)]


def intermediates(
    source: TorchSource, traced: Any, feed: Arrays
) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Every tensor that the exported program computes, as it computes it, by torch's name."""
    library = torch_library.torch()
    found: list[tuple[str, NDArray[np.generic]]] = []

    class Watching(library.fx.Interpreter):  # type: ignore[misc, name-defined]
        def run_node(self, n: Any) -> Any:
            value = super().run_node(n)
            if isinstance(value, library.Tensor):
                found.append((n.name, value.numpy()))
            return value

    arguments, keywords = _arguments(source, feed)
    with torch_library.quietly(), library.no_grad():
        module = traced.module(check_guards=False)
        flat = library.utils._pytree.tree_leaves((arguments, keywords))
        Watching(module).run(*flat, enable_io_processing=False)
    yield from found


def _arguments(source: TorchSource, feed: Arrays) -> tuple[tuple[Any, ...], dict[str, Any]]:
    library = torch_library.torch()
    values = [library.from_numpy(np.ascontiguousarray(feed[name])) for name in source.inputs]
    count = len(source.arguments) if source.arguments or source.keywords else len(values)
    return tuple(values[:count]), dict(zip(source.keywords, values[count:], strict=True))


def _entry(value: ValueInfoProto) -> Entry:
    dims = value.type.tensor_type.shape.dim
    return Entry(value.name, [dim.dim_value or dim.dim_param for dim in dims])
