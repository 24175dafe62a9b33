"""Whether a device's TensorRT can take a model: rules by version, DLA, and an oracle."""

from yardarm.compile.readiness.check import Readiness, check, require
from yardarm.compile.readiness.dla import Dla
from yardarm.compile.readiness.findings import Finding, Rule, Severity
from yardarm.compile.readiness.oracle import oracle
from yardarm.compile.readiness.reading import Shapes
from yardarm.compile.readiness.rules import RULES

__all__ = [
    "RULES",
    "Dla",
    "Finding",
    "Readiness",
    "Rule",
    "Severity",
    "Shapes",
    "check",
    "oracle",
    "require",
]
