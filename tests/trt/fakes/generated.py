"""Fake classes from an API surface: names and arguments are those of the real bindings.

What they do comes from plain classes of the same names (`Behaviour`s); a method that the surface
has and no behaviour gives raises NotImplementedError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from trt.fakes.arguments import bind

Behaviours = Mapping[str, type]


class Fake(ModuleType):
    """The module itself: what surface has, and `__calls__`."""

    __calls__: list[str]

    def called(self, name: str) -> None:
        self.__calls__.append(name)
        if file := os.environ.get("FAKE_TENSORRT_CALLS"):
            with Path(file).open("a") as stream:
                stream.write(name + "\n")


class Kind(type):
    """Objects of Python's subclasses must be constructed by their bases too, as pybind11 has it."""

    def __call__(cls, *given: Any, **named: Any) -> Any:
        made = super().__call__(*given, **named)
        if not vars(made).get("_constructed"):
            raise TypeError(f"{cls.__name__}.__init__() must be called when overriding __init__")
        return made


class Object(metaclass=Kind):
    """What all fake objects share: unknown attributes can't be set, as with pybind11."""

    _trt: Fake
    _generated = True

    def __setattr__(self, name: str, value: Any) -> None:
        known = isinstance(getattr(type(self), name, None), property)
        if not (known or name.startswith("_") or "_generated" not in vars(type(self))):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, name, value)


class Enumerated:
    """A member of an enum: neither a number nor usable as one without int()."""

    __members__: dict[str, Any]

    def __new__(cls, value: int) -> Enumerated:
        for member in cls.__members__.values():
            if member.value == value:
                return member  # type: ignore[no-any-return]
        raise ValueError(f"{value} is no {cls.__name__}")

    def __int__(self) -> int:
        return self.value  # type: ignore[attr-defined,no-any-return]

    __index__ = __int__

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: {self.value}>"  # type: ignore[attr-defined]

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"  # type: ignore[attr-defined]


def generate(name: str, surface: Mapping[str, Any], behaviours: Behaviours) -> Fake:
    """The fake module of this surface."""
    fake = Fake(name, f"A fake of TensorRT {surface['version']}: nothing here runs on a GPU.")
    fake.__calls__ = []
    vars(fake)["__version__"] = surface["version"]
    classes: dict[str, type] = {}
    for owner, described in surface["classes"].items():
        behaviour = behaviours.get(owner)
        make = _enum if described["members"] else _class
        classes[owner] = make(fake, owner, described, behaviour, classes)
    for owner, item in classes.items():
        outer, _, inner = owner.rpartition(".")
        setattr(classes[outer] if outer else fake, inner, item)
    for owner, described in surface["classes"].items():
        _set_values(classes[owner], described["values"], classes)
    _set_values(fake, surface["values"], classes)
    for function, overloads in surface["functions"].items():
        given = getattr(behaviours["module"], function, None)
        setattr(fake, function, _function(fake, function, overloads, given))
    return fake


def _set_values(target: Any, values: Mapping[str, Any], classes: Mapping[str, type]) -> None:
    for name, value in values.items():
        if "class" in value and value["class"] in classes:
            setattr(target, name, classes[value["class"]])
        elif "member" in value:
            setattr(target, name, classes[value["type"]].__members__[value["member"]])  # type: ignore[attr-defined]


def _enum(fake: Fake, name: str, described: Any, behaviour: Any, _: Any) -> type:
    body = {key: item for key, item in vars(behaviour or object).items() if key[0] != "_"}
    made = type(name.rpartition(".")[2], (Enumerated,), {"__members__": {}, "_trt": fake, **body})
    for member, value in described["members"].items():
        item = object.__new__(made)
        item.name, item.value = member, value  # type: ignore[attr-defined]
        made.__members__[member] = item  # type: ignore[attr-defined]
        setattr(made, member, item)
    return made


def _class(
    fake: Fake, name: str, described: Any, behaviour: type | None, classes: Mapping[str, type]
) -> type:
    kept = {key: item for key, item in _attributes(behaviour).items() if _internal(key)}
    body = {**kept, "_trt": fake, "_generated": True, "__init__": _constructor(name, described)}
    given = _attributes(behaviour)
    for method, overloads in described["methods"].items():
        if method != "__init__":
            body[method] = _method(name, method, overloads, given.get(method))
    for attribute, kind in described["properties"].items():
        body[attribute] = _property(name, attribute, kind["settable"], given.get(attribute))
    bases = [classes[base] for base in described["bases"][:1] if base in classes]
    base = getattr(behaviour, "_base", None)
    return Kind(name.rpartition(".")[2], (*bases, *([base] if base else ()), *_root(bases)), body)


def _root(bases: list[type]) -> tuple[type, ...]:
    return () if bases else (Object,)


def _attributes(behaviour: type | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in reversed(behaviour.__mro__[:-1] if behaviour else ()):
        found.update(vars(item))
    return found


def _internal(name: str) -> bool:
    return name.startswith("_") and name not in (
        "__module__", "__dict__", "__weakref__", "__doc__", "__qualname__", "__init__"
    )  # fmt: skip


def _constructor(name: str, described: Any) -> Callable[..., None]:
    overloads = described["methods"].get("__init__", [])

    def construct(self: Any, *given: Any, **named: Any) -> None:
        if not overloads:
            raise TypeError(f"{name}: No constructor defined!")
        values = bind(self._trt, f"{name}.__init__", overloads, given, named)
        self._trt.called(f"{name}.__init__")
        self._constructed = True
        self._begin(**values)

    return construct


def _method(owner: str, name: str, overloads: Any, behaviour: Any) -> Callable[..., Any]:
    def call(self: Any, *given: Any, **named: Any) -> Any:
        values = bind(self._trt, f"{owner}.{name}", overloads, given, named)
        if behaviour is None:
            raise NotImplementedError(f"the fake does not imitate {owner}.{name}")
        if not name.startswith("__") and name != "log":  # which the library calls itself
            self._trt.called(f"{owner}.{name}")
        return behaviour(self, **values)

    return call


def _function(fake: Fake, name: str, overloads: Any, behaviour: Any) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        values = bind(fake, name, overloads, given, named)
        if behaviour is None:
            raise NotImplementedError(f"the fake does not imitate {name}")
        return behaviour(fake, **values)

    return call


def _property(owner: str, name: str, settable: bool, behaviour: Any) -> property:
    if isinstance(behaviour, property):
        return property(behaviour.fget, behaviour.fset if settable else None)

    def read(self: Any) -> Any:
        if name not in self._values:
            raise NotImplementedError(f"the fake does not imitate {owner}.{name}")
        return self._values[name]

    def write(self: Any, value: Any) -> None:
        self._values[name] = value

    return property(read, write if settable else None)
