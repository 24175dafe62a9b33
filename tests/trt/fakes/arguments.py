"""Arguments as pybind11 takes them: by names and types of the overloads, else a TypeError."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

SEQUENCES = ("list", "List", "tuple", "Tuple", "Sequence", "collections.abc.Sequence", "Dims")
NUMBERS = {
    "int": "__index__",
    "typing.SupportsInt": "__index__",
    "float": "__float__",
    "typing.SupportsFloat": "__float__",
}


def bind(
    module: Any,
    name: str,
    overloads: Sequence[Mapping[str, Any]],
    given: Sequence[Any],
    named: Mapping[str, Any],
) -> dict[str, Any]:
    """Values by argument name, of the first overload that takes them.

    Raises:
        TypeError: none does.
    """
    for overload in overloads:
        values = _placed(overload["arguments"], given, named)
        if values is not None and _fits(module, overload["arguments"], values):
            return values
    kinds = [*(type(item).__name__ for item in given), *(f"{key}=" for key in named)]
    wanted = [", ".join(_spelled(item) for item in one["arguments"]) for one in overloads]
    raise TypeError(f"{name}(): incompatible function arguments {kinds}; supported: {wanted}")


def _spelled(argument: Mapping[str, Any]) -> str:
    return f"{argument['name']}: {argument['type']}" + (" = …" if argument["optional"] else "")


def _placed(
    arguments: Sequence[Mapping[str, Any]], given: Sequence[Any], named: Mapping[str, Any]
) -> dict[str, Any] | None:
    names = [item["name"] for item in arguments]
    if len(given) > len(names):
        return None
    values = dict(zip(names, given, strict=False))
    if any(key in values or key not in names or re.match(r"arg\d", key) for key in named):
        return None
    values.update(named)
    needed = {item["name"] for item in arguments if not item["optional"]}
    return values if needed <= set(values) else None


def _fits(module: Any, arguments: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> bool:
    kinds = {item["name"]: item["type"] for item in arguments}
    return all(accepts(module, kinds[name], value) for name, value in values.items())


def accepts(module: Any, kind: str, value: Any) -> bool:
    """Whether pybind11 converts this value to an argument of this type."""
    if kind in NUMBERS:
        return hasattr(value, NUMBERS[kind]) or (kind.endswith("loat") and isinstance(value, int))
    if kind in ("str", "bool"):
        return isinstance(value, {"str": str, "bool": bool}[kind])
    if kind in ("buffer", "typing_extensions.Buffer"):
        return _is_buffer(value)
    if kind.split("[", maxsplit=1)[0] in SEQUENCES:
        return _is_sequence(module, kind, value)
    wanted = _class_of(module, kind)
    if wanted is None or isinstance(value, wanted):
        return True
    return value is None and not hasattr(wanted, "__members__")


def _is_buffer(value: Any) -> bool:
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


def _is_sequence(module: Any, kind: str, value: Any) -> bool:
    if kind == "Dims" and isinstance(value, module.Dims):
        return True
    wanted = {"list": list, "tuple": tuple}.get(kind, (list, tuple))
    inner = kind.partition("[")[2][:-1] if kind[0] in "Lc" else ""
    inner = "int" if kind == "Dims" else inner
    return isinstance(value, wanted) and (
        not inner or all(accepts(module, inner, item) for item in value)
    )


def _class_of(module: Any, kind: str) -> Any:
    found = module
    for part in kind.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None
