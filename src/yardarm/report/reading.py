"""Reading a result that may be incomplete, hostile or from a broken run, without failing.

A report has to render exactly when something went wrong, so every look-up answers with an
empty value instead of raising.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

LARGEST = 1e15
"""No figure of a run is larger; what claims to be is treated as missing."""

LONGEST = 2000
"""Characters of one text that are shown."""

# Control characters and lone surrogates break XML, UTF-8 or a terminal; the rest of the
# class reorders text on screen and could make a name look like another one.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)


def number(value: Any) -> float | None:
    """A finite number of sane size; None for anything else, NaN included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not abs(value) <= LARGEST:  # a comparison that NaN fails too, and huge integers pass
        return None
    return float(value) if math.isfinite(value) else None


def numbers(values: Any) -> list[float | None]:
    return [number(value) for value in sequence(values)]


def text(value: Any) -> str:
    """One value as a clean, bounded piece of text; "" for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}" if math.isfinite(value) else "not a number"
    if isinstance(value, list | tuple):
        return ", ".join(text(item) for item in value)[:LONGEST]
    cleaned = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(value)[: LONGEST + 1])
    return cleaned if len(cleaned) <= LONGEST else cleaned[:LONGEST] + "…"


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def mappings(values: Any) -> Iterator[Mapping[str, Any]]:
    return (value for value in sequence(values) if isinstance(value, Mapping))


def at(value: Any, *path: str) -> Any:
    """The value at a path of keys; None where the path ends early."""
    for key in path:
        value = mapping(value).get(key)
    return value


def flat(value: Any, prefix: str = "", depth: int = 4) -> Iterable[tuple[str, str]]:
    """Nested mappings as dotted keys and texts, in their own order."""
    for key, item in mapping(value).items():
        name = f"{prefix}{text(key)}"
        if isinstance(item, Mapping) and item and depth:
            yield from flat(item, f"{name}.", depth - 1)
        else:
            yield name, "" if item == {} else text(item)
