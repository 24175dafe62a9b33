"""Does source code use only what TensorRT's API of some versions has? Its syntax tree is walked.

The code keeps to names: `NAMES` are always objects of these classes, but for what is imported,
and arguments that are annotated as something of ours. What calls and properties
return is inferred from the surface, and a comparison of `version` with a tuple narrows the
versions that a branch is for. What can't be told is not judged, but a method of TensorRT on an
object of unknown class is a finding: it would go unchecked.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from trt.api import Api, Missing, Value

MODULE = Value("module", "")
OURS = Value("ours", "")  # not TensorRT's, as an annotation says
NAMES = {
    "logger": "ILogger",
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "problem_": "ParserError",
    "profile": "IOptimizationProfile",
    "serialized": "IHostMemory",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "layer": "ILayer",
    "tensor": "ITensor",
    "timing_cache": "ITimingCache",
    "monitor": "IProgressMonitor",
    "recorder": "IErrorRecorder",
}


class Finding(NamedTuple):
    line: int
    surface: str
    what: str


def check(
    source: str, apis: Sequence[Api], only: Mapping[str, Sequence[Api]] = {}
) -> list[Finding]:
    """All misuses. `only` says which surfaces the classes of these names are for."""
    tree = ast.parse(source)
    names = {name for api in apis for name in _methods(api)}
    found: list[Finding] = []
    for node in tree.body:
        chosen = only.get(node.name, apis) if isinstance(node, ast.ClassDef) else apis
        for api in chosen:
            walker = Walker(api, names, _imported(tree))
            walker.visit(node)
            found += walker.found
    return sorted(set(found))


def _imported(tree: ast.Module) -> set[str]:
    """Names at the top of the module that are modules and objects of ours."""
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {item.asname or item.name for node in imports for item in node.names}


def used(source: str, api: Api) -> set[str]:
    """What the source uses of the API, as `Class.attribute`."""
    tree = ast.parse(source)
    walker = Walker(api, set(), _imported(tree))
    walker.visit(tree)
    return walker.used


def _methods(api: Api) -> Iterator[str]:
    """Names that only TensorRT's objects have, as far as words with `_` go."""
    for described in api.classes.values():
        for group in ("methods", "properties"):
            yield from (name for name in described[group] if "_" in name.strip("_"))


class Walker(ast.NodeVisitor):
    """One surface, one top-level statement."""

    def __init__(self, api: Api, names: set[str], imported: set[str]) -> None:
        self.api = api
        self.names = names
        self.found: list[Finding] = []
        self.used: set[str] = set()
        self.locals: dict[str, Value | None] = dict.fromkeys(imported, OURS)

    def report(self, node: ast.AST, what: str) -> None:
        self.found.append(Finding(getattr(node, "lineno", 0), self.api.name, what))

    # Statements

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        before, self.locals = self.locals, dict(self.locals)
        for argument in (*node.args.args, *node.args.kwonlyargs):
            annotated = argument.annotation is not None and ast.unparse(argument.annotation)
            self.locals[argument.arg] = OURS if annotated and "Any" not in annotated else None
        self.generic_visit(node)
        self.locals = before

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for base in node.bases:
            kind = self.infer(base)
            if kind is not None and kind.kind == "class":
                self._check_overrides(node, kind)
        for statement in node.body:
            self.visit(statement)

    def _check_overrides(self, node: ast.ClassDef, base: Value) -> None:
        """Public methods are the library's, with as many arguments: it calls them by place."""
        methods = self.api.classes[base.name]["methods"]
        for item in node.body:
            if not isinstance(item, ast.FunctionDef) or item.name.startswith("_"):
                continue
            if item.name not in methods:
                self.report(item, f"{base.name} has no method {item.name!r} to override")
                continue
            counts = {len(one["arguments"]) for one in methods[item.name]}
            if len(item.args.args) - 1 not in counts:
                self.report(item, f"{base.name}.{item.name} takes {sorted(counts)} arguments")

    def visit_If(self, node: ast.If) -> None:
        holds = self._version_holds(node.test)
        self.infer(node.test)
        for statement in node.body if holds is not False else ():
            self.visit(statement)
        for statement in node.orelse if holds is not True else ():
            self.visit(statement)

    def _version_holds(self, test: ast.expr) -> bool | None:
        """Of `version >= (8, 6)` or `<`, in this surface; None for any other condition."""
        if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], (ast.GtE, ast.Lt)):
            return None
        name = getattr(test.left, "attr", getattr(test.left, "id", ""))
        if not name.endswith("version") or not isinstance(test.comparators[0], ast.Tuple):
            return None
        wanted = ast.literal_eval(test.comparators[0])
        newer = self.api.version >= wanted
        return newer if isinstance(test.ops[0], ast.GtE) else not newer

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._assign(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._assign(node.target, node.value)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, other in zip(target.elts, value.elts, strict=True):
                self._assign(one, other)
            return
        kind = self.infer(value)
        if isinstance(target, ast.Name):
            self._bind(target, kind)
        elif isinstance(target, ast.Attribute):
            self._set(target)
        else:
            self.infer(target)

    def _bind(self, target: ast.Name, kind: Value | None) -> None:
        fixed = NAMES.get(target.id)
        if fixed and kind and kind.kind == "instance" and not self._is_a(kind.name, fixed):
            self.report(target, f"{target.id!r} is a {kind.name}, and stands for {fixed}")
        self.locals[target.id] = kind

    def _is_a(self, name: str, wanted: str) -> bool:
        return wanted in (name, *self.api.classes[name]["bases"])

    def _set(self, target: ast.Attribute) -> None:
        owner = self.infer(target.value)
        if owner is None or owner.kind != "instance":
            self._unknown(target, owner)
            return
        self.used.add(f"{owner.name}.{target.attr}")
        try:
            if not self.api.settable(owner, target.attr):
                self.report(target, f"{owner.name}.{target.attr} can't be set")
        except Missing as error:
            self.report(target, str(error))

    # Expressions

    def generic_visit(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.infer(child)
            else:
                self.visit(child)

    def infer(self, node: ast.expr) -> Value | None:
        """What the expression is; findings on the way are reported."""
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        self.generic_visit(node)
        return None

    def _name(self, name: str) -> Value | None:
        if name == "trt":
            return MODULE
        known = self.locals.get(name)
        if known is None and NAMES.get(name) in self.api.classes:
            return Value("instance", NAMES[name])
        return known

    def _attribute(self, node: ast.Attribute) -> Value | None:
        if node.attr in ("trt", "_trt"):
            return MODULE
        owner = self.infer(node.value)
        if owner is None or owner is OURS:
            self._unknown(node, owner)
            return None
        self.used.add(f"{owner.name}.{node.attr}")
        try:
            return self.api.attribute(owner, node.attr)
        except Missing as error:
            self.report(node, str(error))
            return None

    def _unknown(self, node: ast.Attribute, owner: Value | None) -> None:
        if owner is None and node.attr in self.names and not _own(node.value):
            self.report(node, f"{node.attr!r} is TensorRT's, of an object of unknown class")

    def _call(self, node: ast.Call) -> Value | None:
        called = self.infer(node.func)
        given = [self._argument(item) for item in node.args]
        named = {item.arg: self._argument(item.value) for item in node.keywords}
        if called is None or called.kind not in ("class", "function"):
            return None
        if None in named or any(isinstance(item, ast.Starred) for item in node.args):
            self.report(node, f"{called.name}: arguments that are unpacked can't be checked")
            return None
        try:
            overload = self.api.call(called, given, {str(key): item for key, item in named.items()})
        except Missing as error:
            self.report(node, str(error))
            return None
        if called.kind == "class":
            return Value("instance", called.name)
        return self.api.instance(overload["returns"])

    def _argument(self, node: ast.expr) -> Any:
        """A Value, or the constant itself; None: unknown."""
        kind = self.infer(node)
        if kind is None and isinstance(node, ast.Constant):
            return node.value
        return None if kind is OURS else kind


def _own(node: ast.expr) -> bool:
    """`self`, and modules of ours by their names, are nobody else's."""
    return isinstance(node, ast.Name) and node.id in ("self", "cls")
