"""The diet: what of packages goes into a layer, what it weighs, and what stays out."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from yardarm.image.entries import Entry

_KINDS: Mapping[str, str] = {
    "bytecode": r".*(__pycache__|\.py[co]$).*",
    "tests": r"(.*/)?(tests?|testing)/.*|.*/lib-dynload/(_test|_?xx).*",
    "documents": r"(usr/share/(doc|man|info|locale|lintian|bug|doc-base|gtk-doc)|.*/docs?)/.*",
    "caches": r"(.*/)?(\.[^/]*_cache|\.tox|\.nox|node_modules|\.?venv|\.yardarm)(/.*)?",
    "histories": r"(.*/)?\.(git|hg|svn)(/.*)?",
    "headers": r"(.*/)?include/.*",
    "programs": r"(.*/)?s?bin/.*",
}
"""What is left out, for people; the first that fits. The rest is "other"."""


@dataclass(frozen=True)
class Diet:
    """Entries chosen for a layer.

    Attributes:
        weights: package to the bytes of its files that are in.
        left_out: package and kind of file, such as "numpy: tests", to bytes that are not.
    """

    entries: tuple[Entry, ...]
    weights: Mapping[str, int]
    left_out: Mapping[str, int]

    def record(self) -> dict[str, object]:
        """What a step records of it."""
        return {"weights": dict(self.weights), "left_out": dict(self.left_out)}


def chosen(
    found: Iterable[Entry],
    wanted: Callable[[str], bool],
    *,
    owner: Callable[[str], str],
    keep: Sequence[str] = (),
) -> Diet:
    """Choose by path.

    Args:
        wanted: the layer's own rule, by the entry's path.
        owner: the package that a path belongs to.
        keep: globs of paths in the image that are taken besides.
    """
    kept = re.compile("|".join(map(fnmatch.translate, keep)) or r"(?!)")
    taken: list[Entry] = []
    weights: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    weighed: set[Hashable] = set()
    for entry in found:
        if wanted(entry.path) or kept.fullmatch(entry.path):
            taken.append(entry)
            if entry.inode is None or entry.inode not in weighed:
                weights[owner(entry.path)] += entry.size
                weighed.add(entry.inode)
        elif entry.size:
            left_out[f"{owner(entry.path)}: {kind(entry.path)}"] += entry.size
    return Diet(tuple(taken), dict(sorted(weights.items())), dict(sorted(left_out.items())))


def kind(path: str) -> str:
    """What sort of file was left out, in a word for people."""
    fitting = (name for name, pattern in _KINDS.items() if re.fullmatch(pattern, path))
    return next(fitting, "other")
