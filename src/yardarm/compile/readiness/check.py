"""All that stands between a model and TensorRT, found at once and without a device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from onnx import ModelProto

from yardarm.compile.readiness import dla, tables
from yardarm.compile.readiness.dla import Dla
from yardarm.compile.readiness.findings import RANK, Finding, Severity
from yardarm.compile.readiness.reading import Shapes, Target, fixed, read
from yardarm.compile.readiness.rules import RULES
from yardarm.errors import Unsupported
from yardarm.profiles import Profile, Release


@dataclass(frozen=True)
class Readiness:
    """What a target makes of a model.

    Attributes:
        profile: the device profile's name.
        engine: what runs the model there, with its version.
        system: the JetPack, or the system of a profile without one.
        nodes: of the model and its inner graphs, but for constants.
        findings: errors first, then warnings and notes, each in the graph's order.
        dla: what its DLA cores would take; None where there are none.
    """

    profile: str
    engine: str
    system: str
    nodes: int
    findings: tuple[Finding, ...]
    dla: Dla | None = None

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)

    @property
    def ready(self) -> bool:
        """Whether nothing was found that keeps the model from the target."""
        return not self.errors

    def told(self, *more: Finding) -> Readiness:
        """With findings of somebody else, such as the oracle's."""
        return replace(self, findings=ranked(*self.findings, *more))

    def to_json(self) -> dict[str, Any]:
        return {
            "profile": self.profile,
            "engine": self.engine,
            "system": self.system,
            "ready": self.ready,
            "nodes": self.nodes,
            "findings": [vars(each) for each in self.findings],
            "dla": self.dla.to_json() if self.dla else None,
        }


def check(
    model: ModelProto,
    profile: Profile,
    release: Release,
    *,
    profiles: Shapes | None = None,
    imported: bool = False,
) -> Readiness:
    """Hold a model against the rules of a JetPack's TensorRT.

    Args:
        profiles: for each dynamic input its optimisation profile ("min", "opt", "max"); None
            where they are not chosen yet, which is then a note and no error.
        imported: the model is still to be compiled, which brings its operator set into bounds.
    """
    version = tables.version(release.tensorrt)
    target = Target(
        tensorrt=version,
        table=tables.load(version),
        opset_max=release.opset_max,
        sm=profile.gpu.sm if profile.gpu else 0,
        dla=profile.gpu.dla if profile.gpu else 0,
        profiles=profiles,
        imported=imported,
    )
    reading = read(model, target)
    found = [finding for rule in RULES for finding in rule.findings(reading)]
    usual = read(fixed(model, profiles), target) if target.dla else reading
    summary, reasons = dla.judged(usual)
    return Readiness(
        profile=profile.name,
        engine=f"TensorRT {release.tensorrt}",
        system=f"JetPack {release.jetpack}",
        nodes=sum(node.op != "Constant" for node in reading.nodes),
        findings=ranked(*found, *reasons, *_distance(target)),
        dla=summary,
    )


def require(readiness: Readiness) -> None:
    """Raises Unsupported with every error in one message, where there are any."""
    if readiness.ready:
        return
    errors = readiness.errors
    count = "an error" if len(errors) == 1 else f"{len(errors)} errors"
    raise Unsupported(
        f"{readiness.engine} of {readiness.system} can't take the model, {count}:\n"
        + "\n".join(f"  - {each}" for each in errors),
        where=f"profile {readiness.profile}",
        hint="`yardarm compile --check` shows warnings and notes as well",
    )


def ranked(*findings: Finding) -> tuple[Finding, ...]:
    """Errors first; the order within stays."""
    return tuple(sorted(findings, key=lambda each: RANK[each.severity]))


def _distance(target: Target) -> list[Finding]:
    """A version without a table of its own is judged by another's."""
    have = target.table.version
    if have == target.tensorrt:
        return []
    what = f"there is no table of operators for TensorRT {target.version}"
    hint = f"that of {have[0]}.{have[1]} was used"
    return [Finding("", "", "table", Severity.NOTE, what, hint)]
