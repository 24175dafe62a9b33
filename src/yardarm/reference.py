"""Every setting of a configuration model, for templates and for the reference in docs/.

The models in `project` and `profiles` describe their fields; nothing is described twice.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: its path in the file, such as `data.batch`; `releases[].cuda` in a list of tables.
        kind: what may be written, for people.
        default: the value without it; None also when there is none.
        example: a value to show; None without one.
    """

    key: str
    kind: str
    required: bool
    default: Any
    example: Any
    description: str


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    """The settings of a model and of the tables in it, in their order.

    A field without a description that is no table is not a setting of the file.
    """
    for name, field in model.model_fields.items():
        table, many = _table(field.annotation)
        if table:
            yield from settings(table, f"{prefix}{name}{'[]' if many else ''}.")
        elif field.description:
            yield _setting(f"{prefix}{name}", field, field.description)


def _setting(key: str, field: FieldInfo, description: str) -> Setting:
    default = None if field.is_required() else field.get_default(call_default_factory=False)
    default = None if default == {} else default
    example = field.examples[0] if field.examples else None
    return Setting(key, _kind(field.annotation), field.is_required(), default, example, description)


def _table(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model inside an annotation, and whether it stands in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for part in get_args(annotation):
        found, _ = _table(part)
        if found:
            return found, get_origin(annotation) is tuple
    return None, False


def _kind(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin is dict:
        return f"table of {_kind(parts[1])}"
    if origin is tuple:
        return f"list of {_kind(parts[0])}"
    if origin in (Union, types.UnionType):
        return _kind(next(part for part in parts if part is not types.NoneType))
    if origin is not None and parts:
        return _kind(parts[0])
    return _WORDS.get(annotation, str(annotation))
