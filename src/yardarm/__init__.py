"""Yardarm takes torch and ONNX models to ARM devices and proves that they work there.

What the command line does are functions here, loaded when they are first used. Each takes the
project's folder or its yardarm.toml, most a device (`lab:NAME`, `user@host[:port]`), and a sink
for progress (`yardarm.events`); each raises `yardarm.errors.YardarmError`:

    import yardarm
    from pathlib import Path

    made = yardarm.compile_project(Path("."), "raspberry-pi-5")
    print(made.bundle.digest, made.bundle.manifest["accuracy"]["after"]["value"])

    detect(host)                                     what a device is, and its profile
    check_project(where, profile)                    whether the device can take the model
    check_file(file, profile)                        the same without a project
    compile_project(where, profile, output=…)        the bundle
    explain_project(where, profile, output=…)        where it departs, what int8 costs
    explain_on(where, host, profile=…)               the same with a device's times
    examine_wheels(where, profile)                   which wheels the device gets
    lock_wheels(where, profile)                      resolved anew, and kept to
    compose_image(where, profile, output=…)          the image
    push_image(where, profile, "registry/app:tag")   into a registry
    deploy_project(where, host, profile=…)           onto the device, and switched to
    fetch_engine(where, host, profile=…)             what the device built, for its like
    bench_project(where, host, profile=…)            measured there
    selftest(host)                                   what the runtime can do there
    write_report(where, output=…)                    the newest result's report
    ship(where, host, profile=…)                     all of these
    pull_telemetry(host)                             the records that the device kept
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# onnxruntime's official builds report to their maker unless told not to before they load
# (docs/decisions/0006-no-telemetry-to-third-parties.md).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

_FUNCTIONS = {
    "bench_project": "yardarm.flow.bench:bench_project",
    "check_file": "yardarm.flow.check:check_file",
    "check_project": "yardarm.flow.check:check_project",
    "compile_project": "yardarm.flow.compile:compile_project",
    "compose_image": "yardarm.flow.image:image",
    "deploy_project": "yardarm.flow.deploy:deploy_project",
    "detect": "yardarm.flow.detect:detect",
    "examine_wheels": "yardarm.flow.wheels:examine",
    "explain_on": "yardarm.flow.explain:explain_on",
    "explain_project": "yardarm.flow.explain:explain_project",
    "fetch_engine": "yardarm.flow.engine:fetch_project",
    "lock_wheels": "yardarm.flow.wheels:lock",
    "pull_telemetry": "yardarm.flow.telemetry:pull",
    "push_image": "yardarm.flow.push:push_project",
    "selftest": "yardarm.flow.selftest:run",
    "ship": "yardarm.flow.ship:ship",
    "write_report": "yardarm.flow.report:write_report",
}
# No name is a verb's alone that is a module's as well, such as `compile`: importing the module
# would take its place.


def __getattr__(name: str) -> Any:
    if name not in _FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, function = _FUNCTIONS[name].partition(":")
    return getattr(import_module(module), function)


def __dir__() -> list[str]:
    return sorted([*globals(), *_FUNCTIONS])
