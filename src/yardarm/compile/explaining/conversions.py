"""Where a running graph changes between int8 and float, and who needs that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from yardarm.compile.explaining.attribution import DEPTH, Graph
from yardarm.compile.explaining.kernels import Kernel

CONVERT = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
INTEGER = ("QLinear", "QGemm", "QAttention", "ConvInteger", "MatMulInteger", "DynamicQuantize")
"""Beginnings of the names of kernels that compute in int8."""

FLOAT_ANSWERS = ("MatMulIntegerToFloat", "DynamicQuantize", "QAttention")

Forms = Mapping[str, str]


def kernel_forms(kernels: Sequence[Kernel]) -> dict[str, str]:
    """Each kernel, in the order in which they run: `convert`, `int8` or `fp32`. What moves
    values that are int8 already (MaxPool, Reshape) counts as int8."""
    integers: set[str] = set()
    forms = {}
    for kernel in kernels:
        if kernel.op in CONVERT:
            forms[kernel.name] = "convert"
            integers |= set() if kernel.op == "DequantizeLinear" else {kernel.outputs[0]}
        elif kernel.op.startswith(INTEGER) or integers & set(kernel.inputs):
            forms[kernel.name] = "int8"
            integers |= set(kernel.outputs) if _answers_integers(kernel) else set()
        else:
            forms[kernel.name] = "fp32"
    return forms


def _answers_integers(kernel: Kernel) -> bool:
    if kernel.op == "QGemm":  # its eighth input is the scale of the output
        return len(kernel.inputs) > 7 and bool(kernel.inputs[7])
    return kernel.op != "Cast" and not kernel.op.startswith(FLOAT_ANSWERS)


@dataclass(frozen=True)
class Conversion:
    """A kernel that only converts: `owner` is the kernel that needs it, and `weights` tells
    that it unpacks constants, each time anew."""

    kernel: Kernel
    owner: str | None
    weights: bool


def conversions(running: Graph[Kernel], forms: Forms) -> dict[str, Conversion]:
    """By the converting kernel's name."""
    return {
        kernel.name: Conversion(kernel, _owner(kernel, running, forms), _constant(kernel, running))
        for kernel in running.vertices
        if forms[kernel.name] == "convert"
    }


def _constant(kernel: Kernel, running: Graph[Kernel]) -> bool:
    return kernel.op == "DequantizeLinear" and not any(running.before(kernel))


def _owner(kernel: Kernel, running: Graph[Kernel], forms: Forms) -> str | None:
    """The fp32 kernel beside it, on whichever side that is; else the next one that computes."""
    if kernel.op == "QuantizeLinear":
        makers = [maker.name for maker in running.before(kernel) if forms[maker.name] == "fp32"]
        if makers:
            return makers[0]
    for step in (running.after, running.before):
        edge = list(step(kernel))
        for _ in range(DEPTH):
            computing = [other.name for other in edge if forms[other.name] != "convert"]
            if computing:
                return computing[0]
            edge = [further for other in edge for further in step(other)]
    return None


@dataclass(frozen=True)
class Region:
    """Connected fp32 kernels, and the kernels that bring int8 there and back."""

    kernels: tuple[Kernel, ...]
    border: tuple[Kernel, ...]


def islands(running: Graph[Kernel], forms: Forms) -> Iterator[Region]:
    """Regions of fp32 that int8 leaves and enters again, in the order in which they run."""
    floats = {kernel.name: kernel for kernel in running.vertices if forms[kernel.name] == "fp32"}
    while floats:
        region = _region(next(iter(floats.values())), running, floats)
        for kernel in region:
            del floats[kernel.name]
        entering = _border(region, running.before, "DequantizeLinear")
        entering = {k.name: k for k in entering.values() if not _constant(k, running)}
        leaving = _border(region, running.after, "QuantizeLinear")
        if entering and leaving:
            yield Region(tuple(region), tuple((entering | leaving).values()))


def _region(start: Kernel, running: Graph[Kernel], floats: Mapping[str, Kernel]) -> list[Kernel]:
    """All fp32 kernels that are connected with `start` through tensors."""
    found, waiting = {start.name: start}, [start]
    while waiting:
        kernel = waiting.pop()
        for other in (*running.before(kernel), *running.after(kernel)):
            if other.name in floats and other.name not in found:
                found[other.name] = other
                waiting.append(other)
    return [kernel for kernel in running.vertices if kernel.name in found]


def _border(
    region: Sequence[Kernel], step: Callable[[Kernel], Iterator[Kernel]], op: str
) -> dict[str, Kernel]:
    return {other.name: other for kernel in region for other in step(kernel) if other.op == op}
