"""A set held against the model and the project file."""

from __future__ import annotations

from collections.abc import Sequence

from yardarm.artifacts import Layout
from yardarm.datasets.dataset import Dataset, Tensor
from yardarm.errors import InvalidInput

Expected = tuple[int | str | None, ...]


def check_inputs(dataset: Dataset, inputs: Sequence[Tensor]) -> None:
    """Hold the arrays against what the model takes.

    Raises:
        InvalidInput: an input's array is missing, or differs in dtype or shape; says what
            was expected and what was found.
    """
    for tensor in inputs:
        where = f"{dataset.file}: {tensor.name}"
        found = dataset.members.get(tensor.name)
        if found is None:
            held = ", ".join(dataset.names)
            raise InvalidInput(
                f"the model's input {tensor.name!r} has no array (found: {held})",
                where=str(dataset.file),
                hint="name the arrays as the model's inputs",
            )
        if found.dtype != tensor.dtype:
            raise InvalidInput(f"expected {tensor.dtype}, found {found.dtype}", where=where)
        if None in found.shape and dataset.layout.batch:
            raise InvalidInput(
                f"samples differ in shape, found [{_shown(found.shape)}]",
                where=where,
                hint="set `batch = 0` under [data] to feed each as it is, or pad them",
            )
        wanted = _stored(tensor, dataset.layout)
        if not _fits(found.shape, wanted):
            raise InvalidInput(
                f"expected shape [{_shown(wanted)}], found [{_shown(found.shape)}]", where=where
            )


def check_labels(dataset: Dataset, name: str) -> None:
    """Raises InvalidInput where the labels are missing."""
    _check_held(dataset, name, "labels")


def check_groups(dataset: Dataset, name: str, setting: str = "groups") -> None:
    """Raises InvalidInput where the groups are missing, or not one integer or text a sample.

    Args:
        setting: the one under [data] that names them: "groups" or "clusters".
    """
    _check_held(dataset, name, setting)
    found = dataset.members[name]
    if len(found.shape) != 1 or found.dtype.kind not in "iubUS" or name in dataset.layout.constant:
        raise InvalidInput(
            f"{setting} are one integer or text a sample, "
            f"found {found.dtype} of shape [{_shown(found.shape)}]",
            where=f"{dataset.file}: {name}",
        )


def check_lengths(dataset: Dataset) -> None:
    """Raises InvalidInput where arrays differ in their number of samples, or have none."""
    file, constant = dataset.file, dataset.layout.constant
    members = {name: held for name, held in dataset.members.items() if name not in constant}
    if not members:
        raise InvalidInput("there is no array with samples in it", where=str(file))
    for name, member in members.items():
        if not member.shape:
            raise InvalidInput(
                "is a single number, without a sample axis",
                where=f"{file}: {name}",
                hint="name it under `constant_inputs` if the model takes it so",
            )
    lengths = {name: member.shape[0] for name, member in members.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InvalidInput(
            f"the arrays differ in their number of samples: {listed}", where=str(file)
        )
    if not next(iter(lengths.values())):
        raise InvalidInput("it has no samples", where=str(file))


def _check_held(dataset: Dataset, name: str, what: str) -> None:
    if name not in dataset.members:
        raise InvalidInput(
            f"there is no array {name!r} with the {what} (found: {', '.join(dataset.names)})",
            where=str(dataset.file),
            hint=f"add it, or name the right one as `{what}` under [data]",
        )


def _stored(tensor: Tensor, layout: Layout) -> Expected:
    """The shape that an input's array must have; "samples" is the sample axis.

    Raises:
        InvalidInput: the model has no such sample axis.
    """
    if tensor.name in layout.constant:
        return tensor.shape
    if not layout.batch:
        return ("samples", *tensor.shape)
    axis = layout.input_axis.get(tensor.name, 0)
    if not -len(tensor.shape) <= axis < len(tensor.shape):
        raise InvalidInput(
            f"the model's input has no axis {axis} for the samples",
            where=tensor.name,
            hint="name it under `constant_inputs`, or set `batch = 0` to feed samples as they are",
        )
    axis %= len(tensor.shape)
    return ("samples", *tensor.shape[:axis], *tensor.shape[axis + 1 :])


def _fits(found: tuple[int | None, ...], expected: Expected) -> bool:
    if len(found) != len(expected):
        return False
    return all(want in (None, "samples", have) for have, want in zip(found, expected, strict=True))


def _shown(shape: Sequence[int | str | None]) -> str:
    return ", ".join("any" if axis is None else str(axis) for axis in shape)
