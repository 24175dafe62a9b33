"""A program of its own: what TensorRT-RTX says of models. Run by `asking.py` as a child, since
the parser may take its process with it.

stdin: one JSON a line, {"model": PATH, "build": bool, "sm": compute capability to build for,
    "profiles": {input: {min, opt, max}}}.
stdout: for each, one JSON: {"accepted": bool, "problems": [{"node", "op", "what"}], "bytes": int}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import tensorrt_rtx as trt


def answer(request: dict[str, Any]) -> dict[str, Any]:
    heard = Heard()
    builder = trt.Builder(heard)
    network = builder.create_network()
    parser = trt.OnnxParser(network, heard)
    if not parser.parse_from_file(request["model"]):
        return refused([told(parser.get_error(place)) for place in range(parser.num_errors)])
    if not request["build"]:
        return {"accepted": True, "problems": [], "bytes": 0}
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{request['sm']}"), 0)
    if request["profiles"]:
        profile = builder.create_optimization_profile()
        for name, shapes in request["profiles"].items():
            profile.set_shape(name, shapes["min"], shapes["opt"], shapes["max"])
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        return refused([problem(line) for line in heard.errors] or [problem("no engine")])
    return {"accepted": True, "problems": [], "bytes": plan.nbytes}


class Heard(trt.ILogger):  # type: ignore[misc]
    """The library's own errors, kept."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def log(self, severity: Any, text: str) -> None:
        if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
            self.errors.append(text)


def told(error: Any) -> dict[str, str]:
    return problem(error.desc(), node=error.node_name(), op=error.node_operator())


def problem(what: str, node: str = "", op: str = "") -> dict[str, str]:
    return {"node": node, "op": op, "what": what}


def refused(problems: list[dict[str, str]]) -> dict[str, Any]:
    return {"accepted": False, "problems": problems, "bytes": 0}


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
