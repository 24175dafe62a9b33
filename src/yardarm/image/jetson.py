"""What an image for a Jetson is made on: the maker's base, by JetPack, and what is laid over it.

TensorRT, CUDA and cuDNN come from the base, never from pip: they have to be those of the
device's driver. The user names registry and tag; the recipes in docker/ do the rest.

Sources: base images as public projects name them (l4t-tensorrt r8.4.1-runtime in
NVIDIA/nvidia-container-runtime#181; tensorrt 25.08-py3 on an AGX Thor in
OE4T/meta-tegra#2120); numpy before 1.24 for TensorRT 8.5 and older, whose `nptype` uses
`np.bool` (TensorRT#2557).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yardarm.errors import Unsupported
from yardarm.profiles import Release

_REPOSITORIES = {"5": "nvidia/l4t-tensorrt", "6": "nvidia/l4t-tensorrt", "7": "nvidia/tensorrt"}

_NUMPY = {"3.8": "1.23.5", "3.10": "1.26.4", "3.12": "2.2.6"}
"""By Python; each has a wheel for aarch64."""

_ONNXRUNTIME = {"3.8": "1.19.2", "3.10": "1.23.2"}
"""The last that has a wheel for a Python; newer Pythons take the newest."""

DOCKER = "docker"
PODMAN = "podman"


@dataclass(frozen=True)
class Base:
    """A Jetson image's base and what is laid over it.

    Attributes:
        repository: the image's name without a registry.
        tag: the tag, or the form of it where `N` stands for a digit.
        python: version of its python3.
        brings: what comes from it and stays as it is, to its version.
        layered: requirements of the runtime, as pip names them.
        recipe: the file below docker/ that builds on it.
    """

    repository: str
    tag: str
    python: str
    brings: Mapping[str, str]
    layered: tuple[str, ...]
    recipe: str

    @property
    def name(self) -> str:
        """Repository and tag."""
        return f"{self.repository}:{self.tag}"

    @property
    def carries(self) -> Mapping[str, str]:
        """The routes to run models that an image on this base can carry, and what with.

        "onnxruntime-gpu" is not among them: no index that pip asks by itself has that wheel
        for aarch64 (onnxruntime#20503). Who has one adds it to the recipe.
        """
        (onnxruntime,) = [each for each in self.layered if each.startswith("onnxruntime")]
        return {
            "tensorrt": f"TensorRT {self.brings['tensorrt']} of the base",
            "onnxruntime": f"{onnxruntime} from the public index, on the CPU",
        }


@dataclass(frozen=True)
class Access:
    """How a container is given the GPU.

    Attributes:
        arguments: of `docker run` or `podman run`.
        environment: variables inside the container.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


ACCESS: Mapping[str, Access] = {
    DOCKER: Access(
        ("--runtime", "nvidia"),
        {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"},
    ),
    PODMAN: Access(("--device", "nvidia.com/gpu=all"), {}),
}
"""By container engine. On Jetsons Docker needs the runtime by name: `--gpus` alone mounts no
integrated GPU (flashrt-project/FlashRT#8). Podman's CDI device brings its own variables."""


def base(release: Release) -> Base:
    """What an image for a JetPack is made on.

    Raises:
        Unsupported: a JetPack whose base is not known.
    """
    generation = release.jetpack[:1]
    if generation not in _REPOSITORIES or release.python not in _NUMPY:
        raise Unsupported(
            f"no base image is known for JetPack {release.jetpack} with Python {release.python}",
            where="releases of the device profile",
            hint=f"those known are JetPack {', '.join(_REPOSITORIES)}",
        )
    onnxruntime = _ONNXRUNTIME.get(release.python)
    return Base(
        repository=_REPOSITORIES[generation],
        tag="NN.NN-py3" if generation == "7" else f"r{_three(release.tensorrt)}-runtime",
        python=release.python,
        brings={"tensorrt": release.tensorrt, "cuda": release.cuda, "cudnn": release.cudnn},
        layered=(
            f"numpy=={_NUMPY[release.python]}",
            f"onnxruntime=={onnxruntime}" if onnxruntime else "onnxruntime",
            "psutil",
            "waitress",
        ),
        recipe=f"jetson-jp{generation}/Containerfile",
    )


def _three(version: str) -> str:
    """The base's tags have three numbers, also where the JetPack is told two."""
    return version if version.count(".") == 2 else f"{version}.0"
