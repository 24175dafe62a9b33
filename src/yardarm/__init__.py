"""Yardarm takes torch and ONNX models to ARM devices and proves that they work there.

The verbs of the command line are functions here, loaded when they are first used:

    import yardarm
    bundle = yardarm.compile_bundle(project, profile)
"""

from __future__ import annotations

__version__ = "0.1.0"
