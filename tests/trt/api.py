"""Look-ups in one API surface: what an attribute is, what a call returns, who takes what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SPECIAL = {"__init__", "__members__", "__name__", "__version__", "__doc__"}
KINDS = {"str": str, "bool": bool, "int": int, "float": (int, float)}


class Value(NamedTuple):
    """What an expression is: the "module", a "class", an "instance" of one, or a "function"
    (then with its overloads). `name` is that of the class or function."""

    kind: str
    name: str
    overloads: Sequence[Mapping[str, Any]] = ()


class Missing(Exception):
    """The surface has no such thing."""


class Api:
    """One surface."""

    def __init__(self, name: str, surface: Mapping[str, Any]) -> None:
        self.name = name
        self.classes = surface["classes"]
        self.functions = surface["functions"]
        self.values = surface["values"]
        self.version = version_of(name)

    def attribute(self, owner: Value, name: str) -> Value | None:
        """What `owner.name` is; None: it exists, and nothing is known of it.

        Raises:
            Missing: there is no such attribute.
        """
        if name in SPECIAL and owner.kind != "instance":
            return self._constructor(owner) if name == "__init__" else None
        if owner.kind == "module":
            return self._of_module(name)
        if owner.kind == "function":
            raise Missing(f"{owner.name} is called, it has no {name!r}")
        return self._of_class(owner, name)

    def _constructor(self, owner: Value) -> Value:
        overloads = self.classes[owner.name]["methods"].get("__init__", ())
        itself = {"name": "self", "type": owner.name, "optional": False}
        with_self = [{**one, "arguments": [itself, *one["arguments"]]} for one in overloads]
        return Value("function", f"{owner.name}.__init__", with_self)

    def _of_module(self, name: str) -> Value | None:
        if name in self.classes:
            return Value("class", name)
        if name in self.functions:
            return Value("function", name, self.functions[name])
        if name in self.values:
            return self._held(self.values[name])
        raise Missing(f"the module has no {name!r}")

    def _of_class(self, owner: Value, name: str) -> Value | None:
        described = self.classes[owner.name]
        inner = f"{owner.name}.{name}"
        if name in described["members"]:
            return Value("instance", owner.name)
        if inner in self.classes:
            return Value("class", inner)
        if name in described["values"]:
            return self._held(described["values"][name])
        if name in described["methods"]:
            return Value("function", inner, described["methods"][name])
        if name in described["properties"]:
            return self.instance(described["properties"][name]["type"])
        raise Missing(f"{owner.name} has no {name!r}")

    def _held(self, value: Mapping[str, str]) -> Value | None:
        if "class" in value:
            return Value("class", value["class"]) if value["class"] in self.classes else None
        return self.instance(value["type"])

    def instance(self, kind: str) -> Value | None:
        """Of a type as signatures write it; None for those that are not the library's."""
        name = self.class_named(kind)
        return Value("instance", name) if name else None

    def class_named(self, kind: str) -> str:
        """Some docstrings call EngineInspector by its C++ name, IEngineInspector."""
        plain = re.sub(r" \| None$|^Optional\[(.*)\]$", r"\1", kind)
        return next((name for name in (plain, plain[1:]) if name in self.classes), "")

    def settable(self, owner: Value, name: str) -> bool:
        """Raises Missing where it is no property."""
        described = self.classes[owner.name]["properties"]
        if name not in described:
            raise Missing(f"{owner.name} has no property {name!r}")
        return bool(described[name]["settable"])

    def call(
        self, called: Value, given: Sequence[Any], named: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The overload that takes these arguments: each a Value, a constant, or None (unknown).

        Raises:
            Missing: none does.
        """
        overloads = called.overloads
        if called.kind == "class":
            overloads = self.classes[called.name]["methods"].get("__init__", ())
        for overload in overloads:
            if self._takes(overload["arguments"], given, named):
                return overload
        names = [", ".join(item["name"] for item in one["arguments"]) for one in overloads]
        told = [f"{len(given)} by place", *named]
        raise Missing(f"{called.name} takes {names or 'no call'}, not {told}")

    def _takes(
        self, arguments: Sequence[Mapping[str, Any]], given: Sequence[Any], named: Mapping[str, Any]
    ) -> bool:
        names = [item["name"] for item in arguments]
        if len(given) > len(names):
            return False
        values = dict(zip(names, given, strict=False))
        if any(name in values or name not in names for name in named):
            return False
        if any(re.fullmatch(r"arg\d+", name) for name in named):
            return False
        values.update(named)
        if any(item["name"] not in values and not item["optional"] for item in arguments):
            return False
        kinds = {item["name"]: item["type"] for item in arguments}
        return all(self._suits(kinds[name], value) for name, value in values.items())

    def _suits(self, kind: str, value: Any) -> bool:
        if isinstance(value, Value):
            return self._is_a(value, kind)
        plain = {"typing.SupportsInt": "int", "typing.SupportsFloat": "float"}.get(kind, kind)
        if value is None:
            return True
        if plain in KINDS:
            return isinstance(value, KINDS[plain]) and not (
                isinstance(value, bool) and plain != "bool"
            )
        return not self.class_named(kind) or kind == "Dims"

    def _is_a(self, value: Value, kind: str) -> bool:
        wanted = self.class_named(kind)
        if value.kind != "instance" or not wanted:
            return value.kind == "instance" and kind not in ("str", "bool")
        return wanted in (value.name, *self.classes[value.name]["bases"])


def version_of(name: str) -> tuple[int, ...]:
    """Of a surface's name; TensorRT-RTX goes with 11."""
    return tuple(int(part) for part in name.split(".")) if name[0].isdigit() else (11,)
