"""What the agent says of the device, and what this machine says of itself."""

from __future__ import annotations

import json
from typing import Any, Mapping, NamedTuple, Optional

from yardarm_runtime.problems import Problem


class Device(NamedTuple):
    """As the agent's file has it; "" and None are unknown."""

    module: str = ""
    power_mode: str = ""
    l4t: str = ""
    jetson_clocks: Optional[bool] = None
    memory_mb: Optional[int] = None


def read(path: Optional[str]) -> Device:
    """All is unknown without a file.

    Raises:
        Problem: the file can't be read, or says something else than it should.
    """
    if path is None:
        return Device()
    try:
        with open(path, encoding="utf-8") as stream:
            body = json.load(stream)
    except FileNotFoundError:
        return Device()
    except (OSError, ValueError) as error:
        raise Problem("%s can't be read: %s" % (path, error)) from None
    if not isinstance(body, dict):
        raise Problem("%s doesn't describe a device" % path)
    return Device(
        _text(body, "module", path),
        _text(body, "power_mode", path),
        _text(body, "l4t", path),
        _of(body, "jetson_clocks", bool, path),
        _of(body, "memory_mb", int, path),
    )


def _text(body: Mapping[str, Any], name: str, path: str) -> str:
    return _of(body, name, str, path) or ""


def _of(body: Mapping[str, Any], name: str, kind: type, path: str) -> Any:
    value = body.get(name)
    if value is not None and type(value) is not kind:
        raise Problem("%s: %s is %r" % (path, name, value))
    return value
