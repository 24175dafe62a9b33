"""From a model and data to a bundle: import, normalise, calibrate, search, verify."""

from yardarm.compile.bundle import export
from yardarm.compile.explaining.explanation import Explanation, explain
from yardarm.compile.pipeline import Compiled, check_timed, compile_bundle, compiled
from yardarm.compile.session import Engine, joined

__all__ = [
    "Compiled",
    "Engine",
    "Explanation",
    "check_timed",
    "compile_bundle",
    "compiled",
    "explain",
    "export",
    "joined",
]
