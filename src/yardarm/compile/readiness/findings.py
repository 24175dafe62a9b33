"""What is found in a model, and the rules that find it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from yardarm.compile.readiness.reading import Node, Reading


class Severity(StrEnum):
    """ERROR: no engine comes of it. WARNING: an engine that may be slow or answer otherwise.
    NOTE: good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


RANK = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True)
class Finding:
    """One thing that a target makes of a model.

    Attributes:
        node: its name in the model, or its output where it has none; empty: the whole model.
        op: its operator.
        rule: the rule's id.
        what: what is wrong, a phrase without a full stop.
        hint: what to do about it.
    """

    node: str
    op: str
    rule: str
    severity: Severity
    what: str
    hint: str

    def __str__(self) -> str:
        where = f"{self.op} {self.node}: " if self.node else ""
        return f"{where}{self.what} ({self.rule}); {self.hint}"


@dataclass(frozen=True)
class Told:
    """What a rule says of a node (None: of the model); no severity: the rule's first."""

    node: Node | None
    what: str
    hint: str
    severity: Severity | None = None


@dataclass(frozen=True)
class Rule:
    """A rule of TensorRT.

    Attributes:
        id: short and stable.
        severities: those that its findings can have, the usual one first.
        mark: P: TensorRT-RTX's parser or builder was seen to refuse it, T: tried otherwise,
            S: read in a public source, M: from memory.
        source: where it comes from.
        says: the rule in a sentence.
    """

    id: str
    severities: tuple[Severity, ...]
    mark: str
    source: str
    says: str
    look: Callable[[Reading], Iterable[Told]]

    def findings(self, reading: Reading) -> Iterator[Finding]:
        for told in self.look(reading):
            node, severity = told.node, told.severity or self.severities[0]
            name, op = (node.name, node.op) if node else ("", "")
            yield Finding(name, op, self.id, severity, told.what, told.hint)


def rule(
    name: str, *severities: str, mark: str, source: str, says: str
) -> Callable[[Callable[[Reading], Iterable[Told]]], Rule]:
    """Make a rule of a function that reads a model."""

    def made(look: Callable[[Reading], Iterable[Told]]) -> Rule:
        return Rule(name, tuple(map(Severity, severities)), mark, source, says, look)

    return made
