"""The key of the engine that a bundle needs on this device."""

from __future__ import annotations

import os

from yardarm_runtime.device import Device
from yardarm_runtime.problems import Problem
from yardarm_wire import engines


def of(bundle: str, options: str, tensorrt: str, sm: int, device: Device) -> engines.Key:
    """Args: `options` is their digest, `tensorrt` the full version, `sm` 87 for 8.7.

    Raises:
        Problem: the bundle has no model.
    """
    path = os.path.join(bundle, "model.onnx")
    if not os.path.isfile(path):
        raise Problem("there is no model: %s" % path)
    model = engines.of_file(path)
    return engines.Key(model, tensorrt, sm, device.module, device.power_mode, options)
