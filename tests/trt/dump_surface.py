"""Prints the API of an importable module of bindings as JSON: `python dump_surface.py MODULE`.

Run with the standard library alone, in a process of its own. Signatures come from the first
lines of docstrings, as pybind11 writes them.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from typing import Any

MODULES = re.compile(r"\b(?:tensorrt|tensorrt_bindings|tensorrt_rtx|tensorrt_rtx_bindings)\.")
# How some docstrings call types, ParserError among them.
CPLUSPLUS = re.compile(r"\bnv\w+::(?:v_\d+_\d+::)?(?:IParserError\b)?")
NUMBERED = re.compile(r"^\d+\. ")
SPECIAL = ("__init__", "__getitem__", "__len__", "__eq__")


def module_surface(module: Any) -> dict[str, Any]:
    """{"version", "classes": {name: class}, "functions": {name: overloads}, "values": {name:
    value}}: what a user of the module reaches. A value is {"type": name}, with "member" where
    it is one of an enum; {"class": name} is another name of a class."""
    names = [name for name in dir(module) if not name.startswith("_")]
    items = {name: getattr(module, name) for name in names}
    return {
        "version": module.__version__,
        "classes": dict(_classes(items)),
        "functions": {
            name: overloads(item) for name, item in items.items() if inspect.isroutine(item)
        },
        "values": {
            name: _value(item)
            for name, item in items.items()
            if not (inspect.isclass(item) or inspect.isroutine(item) or inspect.ismodule(item))
        },
    }


def _classes(items: dict[str, Any]) -> Any:
    for name, item in items.items():
        if inspect.isclass(item):
            yield from _with_inner(name, item)


def _with_inner(name: str, item: type) -> Any:
    yield name, _class(item)
    for inner, value in sorted(vars(item).items()):
        if inspect.isclass(value) and not inner.startswith("_"):
            yield f"{name}.{inner}", _class(value)


def _class(item: type) -> dict[str, Any]:
    ours = [base for base in item.__mro__ if base.__module__.startswith("tensorrt")]
    attributes: dict[str, Any] = {}
    for base in reversed(ours):
        attributes.update(vars(base))
    described: dict[str, Any] = {
        "bases": [base.__name__ for base in ours[1:]],
        "methods": {},
        "properties": {},
        "values": {},
        "members": _members(item),
    }
    for name, value in sorted(attributes.items()):
        _describe(described, name, value)
    if described["members"]:  # older pybind11 has `name` in a form of its own
        described["methods"].pop("name", None)
        described["properties"]["name"] = {"type": "str", "settable": False}
    return described


def _members(item: type) -> dict[str, int]:
    return {name: int(value) for name, value in getattr(item, "__members__", {}).items()}


def _describe(described: dict[str, Any], name: str, value: Any) -> None:
    if name.startswith("_") and name not in SPECIAL:
        return
    if name in described["members"]:
        return
    if isinstance(value, property):
        described["properties"][name] = {
            "type": _returned(value.fget),
            "settable": value.fset is not None,
        }
    elif inspect.isroutine(value) or "instancemethod" in type(value).__name__:
        described["methods"][name] = _method(name, getattr(value, "__func__", value))
    else:
        described["values"][name] = _value(value)


def _value(value: Any) -> dict[str, str]:
    if inspect.isclass(value):
        return {"class": value.__qualname__}
    kind = {"type": type(value).__qualname__}
    return {**kind, "member": value.name} if hasattr(type(value), "__members__") else kind


def _method(name: str, function: Any) -> list[dict[str, Any]]:
    """No overloads: a class that nobody can construct."""
    inherited = name == "__init__" and not signature((function.__doc__ or "").split("\n")[0])
    return [] if inherited else overloads(function)


def _returned(getter: Any) -> str:
    parsed = overloads(getter)
    return parsed[0]["returns"] if parsed else ""


def overloads(function: Any) -> list[dict[str, Any]]:
    """[{"arguments": [{"name", "type", "optional"}], "returns": type}]; "self" is left out."""
    lines = (getattr(function, "__doc__", None) or "").splitlines()
    if len(lines) > 1 and lines[1].strip() == "Overloaded function.":
        texts = [NUMBERED.sub("", line) for line in lines if NUMBERED.match(line)]
    else:
        texts = lines[:1]
    found = [parsed for parsed in map(signature, texts) if parsed]
    return found or _inspected(function)


def _inspected(function: Any) -> list[dict[str, Any]]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    arguments = [
        {"name": item.name, "type": "", "optional": item.default is not item.empty}
        for item in parameters
    ]
    return [{"arguments": arguments, "returns": ""}]


def _plain(kind: str) -> str:
    """A type without the modules' names, in which C++ names become those of Python."""
    return CPLUSPLUS.sub(_python_name, MODULES.sub("", MODULES.sub("", kind))).strip()


def _python_name(match: re.Match[str]) -> str:
    return "ParserError" if match[0].endswith("IParserError") else ""


def signature(text: str) -> dict[str, Any] | None:
    """Of one line `name(self: T, a: T = default) -> R`; None where it is none."""
    head = re.match(r"^(\w*)\(", text)
    if head is None:
        return None
    inside, rest = _closed(text, head.end())
    arguments = [_argument(part) for part in _split(inside)]
    returns = rest.split("->", 1)[1] if "->" in rest else ""
    return {
        "arguments": [item for item in arguments if item["name"] not in ("self", "this")],
        "returns": _plain(returns),
    }


def _closed(text: str, begin: int) -> tuple[str, str]:
    """What stands before the bracket that closes the one before `begin`, and what follows."""
    depth = 1
    for place in range(begin, len(text)):
        depth += (text[place] in "([{") - (text[place] in ")]}")
        if depth == 0:
            return text[begin:place], text[place + 1 :]
    return text[begin:], ""


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{<") - (character in ")]}>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _argument(text: str) -> dict[str, Any]:
    """`arg0` is what pybind11 calls an argument without a name: it goes by its place only."""
    declared, _, default = text.partition(" = ")
    name, _, kind = declared.partition(":")
    return {"name": name.strip(), "type": _plain(kind), "optional": bool(default)}


if __name__ == "__main__":
    json.dump(module_surface(importlib.import_module(sys.argv[1])), sys.stdout)
