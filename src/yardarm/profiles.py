"""Device profiles: what a class of devices has and what pays on it.

A profile is a TOML file in `device_profiles/`, or beside the project in a folder of that
name. `extends = "NAME"` takes another profile and overrides single keys of it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yardarm.errors import InvalidInput, Unsupported
from yardarm.project import invalid, read_toml

END_OF_LIFE = {
    "jetson-nano": "Jetson Nano runs JetPack 4, which is end of life and has Python 3.6",
    "jetson-tx2": "Jetson TX2 runs JetPack 4, which is end of life and has Python 3.6",
}

_UBUNTU = {"focal": "20.04", "jammy": "22.04", "noble": "24.04"}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cpu(_Section):
    """The cores; text fields as /proc/cpuinfo prints them."""

    model: str = Field(description="name of the core")
    implementer: str = Field(description="`CPU implementer` in /proc/cpuinfo")
    part: str = Field(description="`CPU part` in /proc/cpuinfo")
    cores: int = Field(description="number of cores")
    max_mhz: int = Field(description="highest clock, in MHz")
    features: tuple[str, ...] = Field(description="the `Features` line of /proc/cpuinfo")


class Memory(_Section):
    """What tells apart boards that share a model string."""

    sizes_gb: tuple[float, ...] = Field(description="sizes on sale, in GB as they are sold")
    bandwidth_gbs: float | None = Field(None, description="bandwidth in GB/s, where known")


class Os(_Section):
    """The system that images are made for."""

    name: str = Field(description="for people")
    suite: str = Field(description="Debian suite or Ubuntu release, by code name")
    python: str = Field(description="version of its python3")
    glibc: str = Field(description="version of its C library")


class Release(_Section):
    """One JetPack and what it brings."""

    jetpack: str = Field(description="the JetPack, for people")
    l4t: tuple[str, ...] = Field(description="the L4T releases that it is, major and minor")
    ubuntu: str = Field(description="the Ubuntu release that it is built on")
    python: str = Field(description="version of its python3")
    cuda: str = Field(description="version of CUDA")
    cudnn: str = Field(description="version of cuDNN")
    tensorrt: str = Field(description="version of TensorRT")
    opset_max: int = Field(description="highest ONNX opset that its TensorRT parses")


class Gpu(_Section):
    """The accelerators of a Jetson."""

    name: str = Field(description="architecture of the GPU")
    sm: int = Field(description="compute capability without its dot")
    cores: int = Field(description="CUDA cores")
    dla: int = Field(description="DLA cores")
    performance: str = Field(description="the maker's peak figure and what it counts")
    power_modes: tuple[str, ...] = Field(
        description="names of power modes; their ids differ, `nvpmodel -p --verbose` lists them"
    )


class Runtime(_Section):
    """What runs models."""

    target: Literal["onnxruntime", "tensorrt"] = Field(description="the engine")
    opset_min: int = Field(description="lowest ONNX opset")
    opset_max: int = Field(description="highest ONNX opset, on the system of `os`")
    precisions: tuple[str, ...] = Field(description="precisions worth trying; measure them")
    exclude: tuple[str, ...] = Field(
        (), description="package versions known bad, each with its reason after a semicolon"
    )


class Building(_Section):
    """How TensorRT builds engines on the device."""

    workspace_mb: int = Field(
        1024, description="most memory for the builder's trials, in MB; less where less is free"
    )
    optimization_level: int = Field(
        3, ge=0, le=5, description="how long the builder tries: 0 hardly, 5 everything"
    )


class Quantization(_Section):
    """How int8 graphs are written for this CPU or accelerator."""

    activations: Literal["int8", "uint8"] = Field("int8", description="type of activations")
    symmetric_activations: bool = Field(False, description="zero point 0 for activations")
    per_channel: bool = Field(True, description="a scale for each output channel of weights")


class Telemetry(_Section):
    """Where the agent reads: globs below /sys, or a command."""

    temperature: tuple[str, ...] = Field(description="temperatures, in thousandths of a degree")
    clock: tuple[str, ...] = Field(description="clocks")
    throttle: tuple[str, ...] = Field((), description="flags of throttling")
    power: tuple[str, ...] = Field((), description="power rails and the power mode")


class Profile(_Section):
    """A device class."""

    name: str = Field(description="the file's name without .toml; not written in the file")
    title: str = Field(description="the device's name, for people")
    family: Literal["raspberry-pi", "jetson"] = Field(description="the maker's family")
    variants: tuple[str, ...] = Field((), description="other boards that this profile serves")
    match: tuple[str, ...] = Field(
        min_length=1, description="what the device tree's model string contains: any of these"
    )
    cpu: Cpu
    memory: Memory
    os: Os
    gpu: Gpu | None = None
    releases: tuple[Release, ...] = Field((), description="the JetPacks that run on it")
    runtime: Runtime
    quantization: Quantization = Quantization()
    building: Building = Building()
    telemetry: Telemetry
    source: str = Field(
        description="where the facts come from: [T] tried, [S] read in a public source, "
        "[M] datasheet figures from memory"
    )
    verified_on_hardware: str = Field(description='"never", or the date of the last real run')


def folders(beside: Path | None = None) -> list[Path]:
    """Where profiles are looked up, first match wins: the project's, the checkout's or
    installed wheel's."""
    here = Path(__file__).parent
    shipped = here / "device_profiles"
    if not shipped.is_dir():
        shipped = here.parents[1] / "device_profiles"
    own = [beside / "device_profiles"] if beside else []
    return [folder for folder in (*own, shipped) if folder.is_dir()]


def names(beside: Path | None = None) -> list[str]:
    found = {file.stem for folder in folders(beside) for file in folder.glob("*.toml")}
    return sorted(name for name in found if not name.startswith("_"))


def load(name: str, beside: Path | None = None) -> Profile:
    """The profile `name`, with what it extends merged in.

    Raises:
        Unsupported: a device that Yardarm does not serve; says why.
        InvalidInput: no such profile (near names are suggested), or a wrong key (named).
    """
    if name in END_OF_LIFE:
        raise Unsupported(END_OF_LIFE[name], where=name, hint="Xavier and newer are supported")
    files = _inherited(name, beside)
    body: dict[str, Any] = {}
    for _, part in reversed(files):
        body = _overlay(body, part)
    try:
        return Profile.model_validate({**body, "name": name})
    except ValidationError as error:
        raise invalid(_culprit(files, error), error) from None


def for_release(profile: Profile, release: Release) -> Profile:
    """The profile with the operator sets of one of its JetPacks."""
    lowest = min(profile.runtime.opset_min, release.opset_max)
    bounds = {"opset_min": lowest, "opset_max": release.opset_max}
    return profile.model_copy(update={"runtime": profile.runtime.model_copy(update=bounds)})


def release_for(profile: Profile, jetpack: str | None = None) -> Release:
    """The JetPack that is compiled for: the named one, else the newest on the profile's `os`.

    Args:
        jetpack: a version as people write it, such as 6.2 or 5.1.3.

    Raises:
        InvalidInput: the profile has no such JetPack (those that it has are told), or none.
    """
    if not profile.releases:
        raise InvalidInput("this device has no JetPack", where=f"profile {profile.name}")
    if jetpack is None:
        ubuntu, asked = _UBUNTU.get(profile.os.suite, ""), f"on {profile.os.suite}"
        fitting = [each for each in profile.releases if each.ubuntu == ubuntu]
    else:
        asked = jetpack
        fitting = [each for each in profile.releases if _is_jetpack(each, jetpack)]
    if fitting:
        return max(fitting, key=lambda each: _version(each.l4t[-1]))
    known = "; ".join(each.jetpack for each in profile.releases)
    raise InvalidInput(
        f"there is no JetPack {asked} for this device",
        where=f"profile {profile.name}",
        hint=f"those that it has: {known}",
    )


def _is_jetpack(release: Release, text: str) -> bool:
    """Whether a version is one of the release's: "6.1 to 6.2.2", "7.0 and 7.1", "5.1"."""
    if text == release.jetpack:
        return True
    version = _version(text)
    low, to, high = release.jetpack.partition(" to ")
    if to and _version(low) <= version <= _version(high):
        return True
    named = [_version(each) for each in re.split(" to | and ", release.jetpack)]
    return any(len(version) > 1 and version[: len(each)] == each for each in named)


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))


def lineage(name: str, beside: Path | None = None) -> tuple[str, ...]:
    """A profile's name and those of the profiles that it extends, nearest first."""
    return tuple(file.stem for file, _ in _inherited(name, beside))


def is_own(name: str, beside: Path) -> bool:
    """Whether a profile is the project's own, not one that comes with Yardarm."""
    return _file(name, beside).parent == beside / "device_profiles"


def _file(name: str, beside: Path | None) -> Path:
    for folder in folders(beside):
        file = folder / f"{name}.toml"
        if file.is_file():
            return file
    known = names(beside)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    near = near or [each for each in known if name and name.lower() in each][:3]
    hint = f"did you mean {', '.join(near)}?" if near else "`yardarm profiles` lists them"
    raise InvalidInput("there is no such device profile", where=name, hint=hint)


def _inherited(name: str, beside: Path | None) -> list[tuple[Path, dict[str, Any]]]:
    """The files of a profile and what they say: itself first, then what it extends, and so on."""
    found: list[tuple[Path, dict[str, Any]]] = []
    chain = [name]
    while True:
        file = _file(chain[-1], beside)
        body = read_toml(file)
        parent = body.pop("extends", None)
        found.append((file, body))
        if parent is None:
            return found
        chain.append(str(parent))
        if chain[-1] in chain[:-1]:
            loop = " extends ".join(chain)
            raise InvalidInput(f"profiles extend each other in a circle: {loop}", where=str(file))


def _culprit(files: list[tuple[Path, dict[str, Any]]], error: ValidationError) -> Path:
    """The file that says what is wrong: the first that has the key; for a missing key, the
    profile's own."""
    for file, body in files:
        value: Any = body
        for part in error.errors()[0]["loc"]:
            value = value.get(part) if isinstance(value, dict) else None
            if isinstance(value, list):
                return file
        if value is not None:
            return file
    return files[0][0]


def _overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`: tables merge key by key, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _overlay(old, value)
        else:
            merged[key] = value
    return merged
