"""What runs inside the device's image: golden, serve, batch, bench. Python 3.8 syntax and APIs."""

import os

# onnxruntime's official builds report to their maker unless told not to before they load.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
