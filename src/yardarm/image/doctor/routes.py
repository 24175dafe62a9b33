"""What to do about a package that fails, and packages that are made for other accelerators. Pure.

Sources of what stands in for what: the packages' own pages on their index, which name the other
as successor or as the form without a GPU. A stand-in is only told where the target takes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from packaging.version import Version

from yardarm.image import jetson
from yardarm.image.doctor.judging import ARCHITECTURE, GLIBC, SOURCE, VARIANT, Reason
from yardarm.image.doctor.walking import Package
from yardarm.image.requirements import Request

INSTEAD: Mapping[str, tuple[str, ...]] = {
    "faiss-gpu": ("faiss-cpu",),
    "mysqlclient": ("pymysql",),
    "onnxruntime-gpu": ("onnxruntime",),
    "psycopg2": ("psycopg2-binary",),
    "rpi-gpio": ("rpi-lgpio",),
    "tensorflow-gpu": ("tensorflow",),
    "tflite-runtime": ("ai-edge-litert",),
}
"""Packages to what does the same work and may have wheels where they have none."""

_GPU = re.compile(
    r"onnxruntime-gpu|tensorrt(-.*)?|nvidia-.*|cuda-.*|cupy-.*|pycuda|torch-tensorrt|faiss-gpu.*"
    r"|tensorflow-gpu|.*-cu1\d(-.*)?"
)


def variant(package: str, base: jetson.Base | None) -> Reason | None:
    """What is said of a package that is made for NVIDIA's GPUs."""
    if not _GPU.fullmatch(package):
        return None
    if base is None:
        return Reason(VARIANT, "it is made for NVIDIA's GPUs, and the device has none")
    return Reason(
        VARIANT, "an index has it for servers' GPUs; on a Jetson CUDA and TensorRT are the base's"
    )


def routes(
    package: Package,
    reason: Reason,
    wanted: Request,
    *,
    usable: Version | None,
    instead: Mapping[str, Version],
    base: jetson.Base | None,
) -> tuple[str, ...]:
    """What would do, nearest first.

    Args:
        reason: why the package fails.
        usable: the newest version that the target takes.
        instead: stand-ins that the target takes, with their versions.
        base: what a Jetson's image is made on.
    """
    return (
        *_of_base(package.name, base),
        *_version(package, usable),
        *(f"{name} {version} does its work" for name, version in instead.items()),
        *_building(package.name, reason, usable, wanted),
    )


def _of_base(package: str, base: jetson.Base | None) -> Iterator[str]:
    if base is None or not _GPU.fullmatch(package):
        return
    carried = base.carries
    if package.startswith("onnxruntime"):
        yield f"{carried['onnxruntime']}; a wheel for the GPU goes into docker/{base.recipe}"
    yield f"{carried['tensorrt']} {base.name}"


def _version(package: Package, usable: Version | None) -> Iterator[str]:
    if usable is not None:
        yield f"{package.name}=={usable} is the newest that the target takes{_whose(package)}"


def _whose(package: Package) -> str:
    others = sorted({ask.by for ask in package.asks if ask.by})
    return f"; {', '.join(others)} would have to ask for less" if others else ""


def _building(
    package: str, reason: Reason, usable: Version | None, wanted: Request
) -> Iterator[str]:
    if (
        usable is None
        and reason.kind in (ARCHITECTURE, SOURCE, GLIBC)
        and not _GPU.fullmatch(package)
    ):
        yield (
            f"build a wheel for aarch64 and Python {wanted.python} (`pip wheel {package}` on a "
            "device), and have uv find it: `find-links` in its configuration"
        )
