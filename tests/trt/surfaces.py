"""API surfaces by TensorRT version, and the look-ups in them that checks need.

8.4 and 8.5 have no wheels: theirs is that of 8.6 without what `older.json` says came later.
"""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

from trt import bindings

OLDER = Path(__file__).parent / "older.json"
NAMES = ("8.4", "8.5", *bindings.WHEELS, bindings.RTX)
Surface = dict[str, Any]


@functools.cache
def load(name: str) -> Surface:
    """Of one of NAMES. Not to be changed."""
    if name in ("8.4", "8.5"):
        return _older(name)
    return bindings.surface(name)


def _older(name: str) -> Surface:
    """`older.json` lists, version by version, what is new in it; newest first."""
    surface = copy.deepcopy(bindings.surface("8.6"))
    for version, news in json.loads(OLDER.read_text())["new in"].items():
        if name >= version:
            continue
        for path in news:
            _remove(surface, path)
    surface["version"] = json.loads(OLDER.read_text())["versions"][name]
    return surface


def _remove(surface: Surface, path: str) -> None:
    """`Class`, `Class.attribute` or `Class.method(argument)`. Raises KeyError: not in 8.6."""
    owner, _, attribute = path.partition(".")
    if not attribute:
        del surface["classes"][owner]
        return
    described = surface["classes"][owner]
    holders = ("methods", "properties", "values", "members")
    holder = next(item for item in holders if attribute in described[item])
    del described[holder][attribute]
