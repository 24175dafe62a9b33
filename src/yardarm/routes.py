"""Which ways to run models a device offers, what each needs, and whether it is there; pure."""

from __future__ import annotations

from dataclasses import dataclass

from yardarm.artifacts import Facts, Jetson
from yardarm.profiles import Release

DLA_COMPILER = ("35.", "36.")
"""L4T releases on which TensorRT in a container loads the DLA's compiler from the device, even
where no DLA is used (4paradigm/phanthymotus#154, NVIDIA/nvidia-container-runtime#181)."""


@dataclass(frozen=True)
class Need:
    """One thing that a route needs.

    Attributes:
        there: None where the device does not say.
        mend: what to do about it; "" when it is there.
    """

    what: str
    there: bool | None
    mend: str


@dataclass(frozen=True)
class Route:
    """A way to run models.

    Attributes:
        name: "tensorrt", "onnxruntime-gpu" or "onnxruntime".
        title: the same for people.
        note: what else to know.
    """

    name: str
    title: str
    needs: tuple[Need, ...]
    note: str

    @property
    def offered(self) -> bool | None:
        """Whether everything is there; None where the device does not say it of all."""
        found = [need.there for need in self.needs]
        return False if False in found else None if None in found else True


def routes(facts: Facts, release: Release | None) -> tuple[Route, ...]:
    """The routes of a device, the fastest first.

    Args:
        release: the JetPack that runs on it, None where it is unknown.
    """
    on_cpu = _on_cpu(facts)
    if facts.jetson is None:
        return (on_cpu,)
    return (
        _tensorrt(facts, facts.jetson, release),
        _with_gpu(facts, facts.jetson, release),
        on_cpu,
    )


def _tensorrt(facts: Facts, jetson: Jetson, release: Release | None) -> Route:
    version = release.tensorrt if release else ""
    known = _need(
        f"a JetPack that is known ({release.jetpack})" if release else "a JetPack that is known",
        release is not None,
        f"L4T {facts.jetpack} is in no profile: its TensorRT is unknown; add the release to a "
        "profile of your own",
    )
    own = jetson.tensorrt or "none"
    note = (
        f"TensorRT {version or 'of that JetPack'} comes with the container's base (see docker/); "
        f"the device's own system has {own}, which is not used"
    )
    needs = (known, *_container(facts, jetson), *_compiler(facts, jetson))
    return Route("tensorrt", "TensorRT in a container", needs, note)


def _with_gpu(facts: Facts, jetson: Jetson, release: Release | None) -> Route:
    """No index that pip asks by itself has this wheel, so that it is never simply there."""
    python = release.python if release else facts.python or "?"
    wheel = _need(
        f"an onnxruntime-gpu wheel for aarch64 and Python {python}",
        False,
        "the public index has none (onnxruntime#20503): take NVIDIA's, from its Jetson Zoo or its "
        "package index for Jetson, of the same JetPack, CUDA and Python; or build it from source",
    )
    note = "runs on TensorRT or CUDA; onnxruntime alone, from the public index, has the CPU only"
    needs = (wheel, *_container(facts, jetson))
    return Route("onnxruntime-gpu", "onnxruntime on the GPU", needs, note)


def _on_cpu(facts: Facts) -> Route:
    needs = (
        _need(
            "a 64-bit ARM userland, which there are wheels for",
            facts.userland_bits == 64 and facts.machine in ("aarch64", "arm64"),
            "install a 64-bit system",
        ),
    )
    note = "leaves the GPU idle" if facts.jetson else ""
    return Route("onnxruntime", "onnxruntime on the CPU", needs, note)


def _container(facts: Facts, jetson: Jetson) -> tuple[Need, Need]:
    engines = [name for name, version in facts.engines.items() if _usable(name, version)]
    told = {jetson.nvidia.get(name) for name in engines}
    return (
        _need("a container engine", bool(engines), "install Docker, or Podman 4.1 or newer"),
        _need(
            "the GPU in containers",
            True if True in told else None if None in told else False,
            "install nvidia-container-toolkit, then for Docker `nvidia-ctk runtime configure "
            "--runtime=docker` and restart it, or for Podman `nvidia-ctk cdi generate "
            "--output=/etc/cdi/nvidia.yaml`",
        ),
    )


def _usable(engine: str, version: str) -> bool:
    """Podman knows CDI devices from 4.1 on (NVIDIA/nvidia-container-toolkit#63)."""
    numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
    return engine != "podman" or numbers >= (4, 1)


def _compiler(facts: Facts, jetson: Jetson) -> tuple[Need, ...]:
    if not facts.jetpack.startswith(DLA_COMPILER):
        return ()
    return (
        _need(
            "libnvdla_compiler.so on the device",
            jetson.dla_compiler,
            "without it `import tensorrt` fails in every container; on JetPack 6 the package "
            "nvidia-l4t-dla-compiler has it",
        ),
    )


def _need(what: str, there: bool | None, mend: str) -> Need:
    return Need(what, there, "" if there else mend)
