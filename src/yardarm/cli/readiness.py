"""What a device makes of a model, on a page of a terminal: errors first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from yardarm.cli import console

if TYPE_CHECKING:
    from yardarm.compile.readiness import Dla, Finding, Readiness

WIDTH = 80
DLA = "dla"  # the rule whose notes are told with its summary
HEADINGS = {"error": "errors", "warning": "warnings", "note": "notes"}


def page(found: Readiness) -> str:
    """At most 80 columns off a terminal; the last line is the verdict."""
    lines = []
    for severity, heading in HEADINGS.items():
        listed = [e for e in found.findings if e.severity == severity and e.rule != DLA]
        if listed:
            lines += [*_table(heading, listed), ""]
    if found.dla:
        stays = [each for each in found.findings if each.rule == DLA]
        lines += [*_dla(found.dla, stays), ""]
    return "\n".join([*lines, *_verdict(found)]) + "\n"


def _table(heading: str, listed: Sequence[Finding]) -> Iterator[str]:
    """One row for all nodes of which the same is said."""
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for each in listed:
        alike.setdefault((each.rule, each.op, each.what, each.hint), []).append(each.node)
    rows = [
        [rule, _where(op, nodes), f"{what}\n→ {hint}"]
        for (rule, op, what, hint), nodes in alike.items()
    ]
    yield console.table([heading, "node", "what, and what to do"], rows).rstrip()


def _where(op: str, nodes: Sequence[str]) -> str:
    if not nodes[0]:
        return "model"
    more = f"\nand {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f"{op}\n{nodes[0]}{more}"


def _dla(dla: Dla, stays: Sequence[Finding]) -> Iterator[str]:
    if not dla.nodes:
        yield f"DLA    {dla.verdict}"
        return
    pieces = "1 piece" if dla.loadables == 1 else f"{dla.loadables} pieces"
    yield f"DLA    {dla.eligible} of {dla.nodes} nodes could run there, in {pieces}"
    yield f"       {'worth a try' if dla.worth else 'not worth it'}: {dla.verdict}"
    if stays:
        rows = [[each.op, each.node, each.what] for each in stays]
        yield ""
        yield console.table(["on the GPU", "node", "why"], rows).rstrip()


def _verdict(found: Readiness) -> Iterator[str]:
    counts = [
        _count(sum(each.severity == kind for each in found.findings), kind) for kind in HEADINGS
    ]
    verdict = "ready" if found.ready else "not ready"
    told = ", ".join(count for count in counts if count)
    nodes = "1 node" if found.nodes == 1 else f"{found.nodes:,} nodes"
    yield f"{nodes} for {found.profile}: {told or 'nothing found'}"
    last = (
        f"{verdict} for {found.engine} of {found.system}; memory, speed and accuracy are told "
        "by the device alone"
    )
    yield from textwrap.wrap(last, WIDTH)


def _count(number: int, kind: str) -> str:
    return "" if not number else f"{number} {kind}" + ("s" if number > 1 else "")
