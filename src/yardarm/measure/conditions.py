"""In what a device was another one when it was measured before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yardarm_wire.engines import Key


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Sentences on what engines are bound to besides the model: TensorRT, GPU, module and power
    mode. [] where a result has no engine, or is of another host."""
    keys = [_key(result) for result in (before, now)]
    if before.get("host") != now.get("host") or None in keys:
        return []
    old, new = (key for key in keys if key)
    return new.differences(old._replace(model=new.model, options=new.options))


def _key(result: Mapping[str, Any]) -> Key | None:
    try:
        return Key.from_json(result["engine"]["key"])
    except (KeyError, TypeError, ValueError):
        return None
