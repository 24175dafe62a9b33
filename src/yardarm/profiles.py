"""Device profiles: what a class of devices has and what pays on it.

A profile is a TOML file in `device_profiles/`, or beside the project in a folder of that
name. `extends = "NAME"` takes another profile and overrides single keys of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from yardarm.errors import InvalidInput, Unsupported
from yardarm.project import invalid, read_toml

END_OF_LIFE = {
    "jetson-nano": "Jetson Nano runs JetPack 4, which is end of life and has Python 3.6",
    "jetson-tx2": "Jetson TX2 runs JetPack 4, which is end of life and has Python 3.6",
}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cpu(_Section):
    """`part` and `implementer` as /proc/cpuinfo prints them; `features` its Features line."""

    model: str
    implementer: str
    part: str
    cores: int
    max_mhz: int
    features: tuple[str, ...]


class Memory(_Section):
    """Sizes on sale in GB, and the bandwidth in GB/s (None: not known)."""

    sizes_gb: tuple[float, ...]
    bandwidth_gbs: float | None = None


class Os(_Section):
    """The system that images are made for: Debian suite or Ubuntu release, Python, glibc."""

    name: str
    suite: str
    python: str
    glibc: str


class Release(_Section):
    """One JetPack and what it brings; `l4t` is a prefix of the device's L4T release."""

    jetpack: str
    l4t: str
    ubuntu: str
    python: str
    cuda: str
    cudnn: str
    tensorrt: str


class Gpu(_Section):
    """`sm` is the compute capability without the dot; `dla` the number of DLA cores."""

    name: str
    sm: int
    cores: int
    dla: int
    tops: str
    power_modes: tuple[str, ...]


class Runtime(_Section):
    """What runs models. `precisions` are those that pay; `exclude` are versions known bad,
    each with its reason after a semicolon."""

    target: Literal["onnxruntime", "tensorrt"]
    opset_min: int
    opset_max: int
    precisions: tuple[str, ...]
    exclude: tuple[str, ...] = ()


class Quantization(_Section):
    """How int8 graphs are written for this CPU or accelerator."""

    activations: Literal["int8", "uint8"] = "int8"
    symmetric_activations: bool = False
    per_channel: bool = True


class Telemetry(_Section):
    """Where the agent reads: globs below /sys and /proc; commands by name."""

    temperature: tuple[str, ...]
    clock: tuple[str, ...]
    throttle: tuple[str, ...] = ()
    power: tuple[str, ...] = ()


class Profile(_Section):
    """A device class. `match` are substrings of the device tree's model string."""

    name: str
    title: str
    family: Literal["raspberry-pi", "jetson"]
    variants: tuple[str, ...] = ()
    match: tuple[str, ...]
    cpu: Cpu
    memory: Memory
    os: Os
    gpu: Gpu | None = None
    releases: tuple[Release, ...] = ()
    runtime: Runtime
    quantization: Quantization = Quantization()
    telemetry: Telemetry
    source: str
    verified_on_hardware: str


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
    body = _merged(name, beside, ())
    file = _file(name, beside)
    try:
        return Profile.model_validate({**body, "name": name})
    except ValidationError as error:
        raise invalid(file, error) from None


def _file(name: str, beside: Path | None) -> Path:
    for folder in folders(beside):
        file = folder / f"{name}.toml"
        if file.is_file():
            return file
    near = difflib.get_close_matches(name, names(beside), n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else "`yardarm profiles` lists them"
    raise InvalidInput("there is no such device profile", where=name, hint=hint)


def _merged(name: str, beside: Path | None, chain: tuple[str, ...]) -> dict[str, Any]:
    file = _file(name, beside)
    if name in chain:
        loop = " extends ".join((*chain, name))
        raise InvalidInput(f"profiles extend each other in a circle: {loop}", where=str(file))
    body = read_toml(file)
    parent: str | None = body.pop("extends", None)
    if parent is None:
        return body
    return _overlay(_merged(parent, beside, (*chain, name)), body)


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
