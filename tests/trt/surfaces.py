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
    table = json.loads(OLDER.read_text())
    surface = copy.deepcopy(bindings.surface("8.6"))
    for version, news in table["new in"].items():  # newest first
        if name < version:
            _remove(surface, news)
    surface["version"] = table["versions"][name]
    return surface


def _remove(surface: Surface, news: dict[str, list[str]]) -> None:
    """Raises KeyError for what isn't in 8.6 at all."""
    for name in news["classes"]:
        del surface["classes"][name]
    for name in news["values"]:
        del surface["values"][name]
    for owner, attributes in news.items():
        if owner not in ("classes", "values"):
            for attribute in attributes:
                _remove_attribute(surface["classes"][owner], attribute)


def _remove_attribute(described: Surface, attribute: str) -> None:
    name, _, arguments = attribute.rstrip(")").partition("(")
    holders = ("methods", "properties", "values", "members")
    holder = next((item for item in holders if name in described[item]), None)
    if holder is None:
        raise KeyError(attribute)
    if not arguments:
        del described[holder][name]
        return
    wanted = arguments.split(",")
    kept = [
        one for one in described[holder][name] if wanted != [a["name"] for a in one["arguments"]]
    ]
    if len(kept) == len(described[holder][name]):
        raise KeyError(attribute)
    described[holder][name] = kept
