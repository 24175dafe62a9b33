"""A torch model as its project has it: a factory in Python, or a `.pt2` file."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yardarm import callables
from yardarm.compile.sources.torch_library import WHERE, quietly, torch
from yardarm.errors import InvalidInput

RETURNS = "(module, example_inputs[, dynamic_shapes[, output_names]])"


@dataclass(frozen=True)
class TorchSource:
    """A module ready for export, or a program that was exported already.

    Attributes:
        module: torch.nn.Module in evaluation mode, answering as the project has it.
        program: torch.export.ExportedProgram, where there is one already.
        inputs: names of the inputs, in the order of the arguments.
        arguments: example inputs by position; `keywords` those by name.
        shapes: `dynamic_shapes` for torch.export; None: the sample axis alone is free.
        outputs: names of the outputs, in the order in which torch flattens them.
    """

    module: Any
    program: Any
    inputs: tuple[str, ...]
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    shapes: Any
    outputs: tuple[str, ...]


def from_factory(name: str, root: Path) -> TorchSource:
    """Call "package.module:factory".

    Raises:
        InvalidInput: it can't be found or raises, or returns anything else than `RETURNS`.
        Unsupported: torch is not installed.
    """
    library = torch()
    with quietly():
        factory = callables.load(name, root, WHERE)
        try:
            with callables.importable(root):
                returned = factory()
        except (Exception, SystemExit) as error:  # noqa: BLE001  a project's code may raise anything
            raise _invalid(name, f"raised {callables.words(error)}") from None
        return _source(name, _parts(name, returned), library)


def from_file(file: Path) -> TorchSource:
    """Read a program that torch.export.save wrote.

    Raises:
        InvalidInput: it is no such file.
        Unsupported: torch is not installed.
    """
    library = torch()
    with quietly():
        try:
            program = library.export.load(file)
            module = program.module()
            leaves = [spec.arg.name for spec in _specs(program, "input", "USER_INPUT")]
            outputs = _program_outputs(program)
        except Exception as error:  # noqa: BLE001  torch raises whatever it meets in the file
            raise InvalidInput(
                f"torch can't read it: {_line(error)}",
                where=str(file),
                hint="write it with torch.export.save",
            ) from None
    examples, keywords = program.example_inputs or ((), {})
    return TorchSource(
        module,
        program,
        tuple(leaves),
        tuple(examples),
        dict(keywords),
        None,
        _apart(outputs, tuple(leaves)),
    )


def _parts(name: str, returned: Any) -> tuple[Any, Any, Any, Any]:
    if not isinstance(returned, tuple) or not 2 <= len(returned) <= 4:
        found = (
            f"{len(returned)} values" if isinstance(returned, tuple) else type(returned).__name__
        )
        raise _invalid(name, f"returned {found}, not {RETURNS}")
    module, examples, shapes, outputs = (*returned, None, None)[:4]
    return module, examples, shapes, outputs


def _source(name: str, parts: tuple[Any, Any, Any, Any], library: Any) -> TorchSource:
    module, examples, shapes, outputs = parts
    if not isinstance(module, library.nn.Module):
        raise _invalid(name, f"returned a {type(module).__name__} where the torch module should be")
    module.eval()
    arguments, keywords = _examples(name, examples, library)
    try:
        bound = inspect.signature(module.forward).bind(*arguments, **keywords)
    except TypeError as error:
        raise _invalid(
            name, f"its example inputs don't fit the module's forward: {error}"
        ) from None
    try:
        with library.no_grad():
            answers = module(*arguments, **keywords)
    except Exception as error:  # noqa: BLE001  a project's code may raise anything
        words = callables.words(error)
        raise _invalid(name, f"its module fails on its example inputs: {words}") from None
    found = output_names(answers, library)
    if outputs is not None and len(outputs) != len(found):
        raise _invalid(name, f"names {len(outputs)} outputs of {len(found)}")
    return TorchSource(
        module,
        None,
        names := tuple(_inputs(bound)),
        arguments,
        keywords,
        shapes,
        _apart(tuple(map(str, outputs)) if outputs is not None else found, names),
    )


def _apart(outputs: tuple[str, ...], inputs: tuple[str, ...]) -> tuple[str, ...]:
    """A state that comes in and goes out can't have one name for both."""
    return tuple(f"{name}_out" if name in inputs else name for name in outputs)


def _examples(name: str, examples: Any, library: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(examples, library.Tensor | np.ndarray):
        examples = (examples,)
    if isinstance(examples, Mapping):
        return (), {key: _tensor(name, value, library) for key, value in examples.items()}
    if not isinstance(examples, Sequence) or not examples:
        raise _invalid(name, "example_inputs are a tuple of tensors, or tensors by name")
    return tuple(_tensor(name, value, library) for value in examples), {}


def _tensor(name: str, value: Any, library: Any) -> Any:
    if isinstance(value, np.ndarray):
        return library.from_numpy(value)
    if not isinstance(value, library.Tensor):
        raise _invalid(name, f"a {type(value).__name__} is among its example inputs: tensors only")
    return value.detach()


def _inputs(bound: inspect.BoundArguments) -> Iterator[str]:
    """The names of forward's arguments; those of `*arguments` numbered."""
    kinds = bound.signature.parameters
    for name, value in bound.arguments.items():
        if kinds[name].kind is inspect.Parameter.VAR_POSITIONAL:
            yield from (f"{name}_{number}" for number in range(len(value)))
        elif kinds[name].kind is inspect.Parameter.VAR_KEYWORD:
            yield from value
        else:
            yield name


def output_names(answers: Any, library: Any) -> tuple[str, ...]:
    """What the tensors that a module answers are called: by the keys of a dict or the fields
    of a named tuple; else `output`, or `output_0`, `output_1`, … where there are several."""
    flatten = library.utils._pytree.tree_flatten_with_path
    leaves, _ = flatten(answers)
    return tuple(_joined(path) for path, leaf in leaves if isinstance(leaf, library.Tensor))


def _joined(path: Sequence[Any]) -> str:
    parts = [
        str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path
    ]
    if not parts or hasattr(path[0], "idx"):
        parts = ["_".join(["output", *parts[:1]]), *parts[1:]]
    return ".".join(parts)


def _program_outputs(program: Any) -> tuple[str, ...]:
    """The same from a program's signature: its leaves are filled with stand-ins."""
    library = torch()
    specs = _specs(program, "output", "USER_OUTPUT")
    tensors = [type(spec.arg).__name__ == "TensorArgument" for spec in specs]
    leaves = [library.empty(0) if held else None for held in tensors]
    return output_names(
        library.utils._pytree.tree_unflatten(leaves, program.call_spec.out_spec), library
    )


def _specs(program: Any, side: str, kind: str) -> list[Any]:
    specs = getattr(program.graph_signature, f"{side}_specs")
    return [spec for spec in specs if spec.kind.name == kind]


def _invalid(name: str, what: str) -> InvalidInput:
    return InvalidInput(f"{name}: {what}", where=WHERE, hint=f"a factory returns {RETURNS}")


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
