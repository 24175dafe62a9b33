"""Labelled samples from npz archives, folders of .npy files, or a function of the project's
own. None is ever loaded whole."""

from __future__ import annotations

from pathlib import Path

from yardarm import callables
from yardarm.artifacts import Layout
from yardarm.datasets.archive import Archive
from yardarm.datasets.checks import check_groups, check_inputs, check_labels, check_lengths
from yardarm.datasets.dataset import Dataset, Member, Source, Tensor, stacked
from yardarm.datasets.folder import Folder
from yardarm.datasets.function import Function
from yardarm.errors import InvalidInput

__all__ = [
    "Dataset",
    "Member",
    "Source",
    "Tensor",
    "check_groups",
    "check_inputs",
    "check_labels",
    "open_dataset",
    "stacked",
]


def open_dataset(file: Path, layout: Layout | None = None) -> Dataset:
    """Look into a set without keeping its arrays.

    Args:
        file: an npz archive, a folder of .npy files, or a function's name
            ("package.module:function") in the folder where it is looked up first. A function
            is called, and its samples counted.
        layout: which arrays are constant; default: none.

    Raises:
        InvalidInput: missing or damaged, no array, no sample, arrays of unequal length,
            object arrays or Fortran order; a function that fails.
    """
    taken = layout or Layout()
    found = Dataset(file, _source(file, taken), taken)
    check_lengths(found)
    return found


def _source(file: Path, layout: Layout) -> Source:
    if file.is_dir():
        return Folder(file)
    if file.is_file():
        return Archive(file)
    if callables.is_name(file.name):
        return Function(file.name, file.parent, layout.constant)
    raise InvalidInput("there is no such data file", where=str(file))
