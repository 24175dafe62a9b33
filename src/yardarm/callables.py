"""Functions of a project's own, named as "package.module:function" in its file.

They are looked up beside the project file too: its folder stands first on the import path
while they load and while they run, and nowhere else.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from yardarm.digest import Digest, of_file, of_json
from yardarm.errors import InvalidInput

NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")

_owners: dict[str, tuple[Path, Digest]] = {}
"""Which folder a module was loaded from, and what its files held then, by its first name."""


def is_name(text: str) -> bool:
    """Whether it is written as "package.module:function"."""
    return NAME.fullmatch(text) is not None


@contextmanager
def importable(root: Path | None) -> Iterator[None]:
    """With `root` first on the import path; nothing is written into it."""
    if root is None:
        yield
        return
    quiet, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
        sys.dont_write_bytecode = quiet


def load(name: str, root: Path | None, where: str) -> Callable[..., Any]:
    """The function called `name`.

    A module that changed since it was loaded, or that another project has under the same
    name, is loaded anew.

    Args:
        name: "package.module:function".
        root: the project's folder; None: only what is installed.
        where: the setting that names it, for errors.

    Raises:
        InvalidInput: no such module or function, or the module fails while it loads (its own
            words are quoted).
    """
    module_name, _, path = name.partition(":")
    found: Any = _module(module_name, root, where)
    for part in path.split("."):
        if not hasattr(found, part):
            raise InvalidInput(f"{module_name} has no {path!r}", where=where)
        found = getattr(found, part)
    if not callable(found):
        raise InvalidInput(f"{name} is no function but {type(found).__name__}", where=where)
    function: Callable[..., Any] = found
    return function


def digest(name: str, root: Path | None) -> Digest:
    """Of the source that a function comes from.

    Covers its module, the whole package that the module is in, and what these import from
    the project's folder. Of an installed one only the module's own file.
    """
    first = name.partition(":")[0].split(".")[0]
    files = _beside(first, root) if root else {}
    return of_json({"name": name, "files": files or _installed(first)})


def words(error: BaseException) -> str:
    """What an exception of a project's function says, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    text = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    return said + place


def _module(name: str, root: Path | None, where: str) -> ModuleType:
    if root is not None:
        _make_room(name.partition(".")[0], root, where)
    try:
        with importable(root):
            importlib.invalidate_caches()
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            looked = f"neither installed nor in {root}" if root else "not installed"
            raise InvalidInput(f"there is no module {name!r}: {looked}", where=where) from None
        raise InvalidInput(f"{name} can't be loaded: {words(error)}", where=where) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  a project's code may raise anything
        raise InvalidInput(f"{name} can't be loaded: {words(error)}", where=where) from None


def _make_room(first: str, root: Path, where: str) -> None:
    """Forget what another project, or an earlier state of this one, has loaded by the names
    that will be imported from `root`."""
    files = _beside(first, root)
    held = (root, of_json(files))
    for name in {Path(place).parts[0].removesuffix(".py") for place in files}:
        if name in sys.modules and name not in _owners and not _from(sys.modules[name], root):
            raise InvalidInput(
                f"the module {name!r} beside the project file has the name of another one",
                where=where,
                hint="name it otherwise",
            )
        if _owners.get(name, held) != held:
            for loaded in [key for key in sys.modules if key.split(".")[0] == name]:
                del sys.modules[loaded]
        _owners[name] = held


def _from(module: ModuleType, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(root)


def _file(first: str, root: Path) -> Path | None:
    """The module's file, or the package's folder, directly in `root`."""
    file, folder = root / f"{first}.py", root / first
    if file.is_file() and not (folder / "__init__.py").is_file():
        return file
    return folder if any(folder.glob("*.py")) else None


def _beside(first: str, root: Path) -> dict[str, str]:
    """Digests of the files in `root` that a module comes from, by their place there."""
    found: dict[str, str] = {}
    waiting = [first]
    while waiting:
        path = _file(waiting.pop(), root)
        if path is None:
            continue
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            place = str(file.relative_to(root))
            if place not in found:
                found[place] = of_file(file)
                waiting.extend(_imported(file))
    return found


def _installed(first: str) -> dict[str, str]:
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return {}
    origin = Path(spec.origin) if spec and spec.origin else None
    return {first: of_file(origin)} if origin and origin.is_file() else {}


def _imported(file: Path) -> Iterator[str]:
    """First names of the modules that a file imports, wherever in it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # loading it will say so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
