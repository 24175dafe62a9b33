"""Whether a device can take a model: TensorRT's rules by version, DLA, and an oracle."""

from yardarm.compile.readiness.asking import is_asked, oracle
from yardarm.compile.readiness.check import Readiness, check, require
from yardarm.compile.readiness.cpu import check_onnxruntime
from yardarm.compile.readiness.dla import Dla
from yardarm.compile.readiness.findings import Finding, Rule, Severity
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
    "check_onnxruntime",
    "is_asked",
    "oracle",
    "require",
]
