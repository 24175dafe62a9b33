"""Yardarm takes torch and ONNX models to ARM devices and proves that they work there.

The verbs of the command line are functions here, loaded when they are first used:

    import yardarm
    bundle = yardarm.compile_bundle(project, profile)
"""

from __future__ import annotations

import os

# onnxruntime's official builds report to their maker unless told not to before they load
# (docs/decisions/0006-no-telemetry-to-third-parties.md).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
