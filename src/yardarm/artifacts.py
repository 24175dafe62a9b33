"""The frozen values that stages hand to one another.

A stage takes some of these and makes new ones; nobody changes one. Blobs live in the
`store`, and values carry their digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from yardarm.digest import Digest

MEDIA_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEDIA_CONFIG = "application/vnd.oci.image.config.v1+json"
MEDIA_LAYER = "application/vnd.oci.image.layer.v1.tar"
MEDIA_EMPTY = "application/vnd.oci.empty.v1+json"
MEDIA_BUNDLE = "application/vnd.yardarm.bundle.v1"
MEDIA_ENGINE = "application/vnd.yardarm.engine.v1"
MEDIA_OCTETS = "application/octet-stream"
MEDIA_JSON = "application/json"

TITLE = "org.opencontainers.image.title"

EMULATED = "emulated: latency is not the device's"


@dataclass(frozen=True)
class Layout:
    """How samples become what a model is fed, and its answers become samples again.

    Arrays have the sample axis first, always; a model may want it elsewhere.

    Attributes:
        batch: samples at a time; 0: each sample as it is, without a batch axis.
        constant: inputs that are fed whole with every batch; their arrays have no sample axis.
        input_axis, output_axis: where the model has the sample axis, by name; default 0.
    """

    batch: int = 32
    constant: frozenset[str] = frozenset()
    input_axis: Mapping[str, int] = field(default_factory=dict)
    output_axis: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Samples to read at a time."""
        return max(1, self.batch)

    def settings(self) -> dict[str, Any]:
        """As the project file names it, for JSON. Devices feed the model by it."""
        return {
            "batch": self.batch,
            "constant_inputs": sorted(self.constant),
            "input_batch_axis": dict(self.input_axis),
            "output_batch_axis": dict(self.output_axis),
        }


@dataclass(frozen=True)
class Descriptor:
    """A blob by content, as OCI describes one: `size` in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_oci(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        return body | ({"annotations": dict(self.annotations)} if self.annotations else {})

    @staticmethod
    def from_oci(body: Mapping[str, Any]) -> Descriptor:
        return Descriptor(
            body["mediaType"], Digest(body["digest"]), body["size"], body.get("annotations", {})
        )


@dataclass(frozen=True)
class Estimate:
    """A measured share or mean with its two-sided 95 % interval over `samples` samples."""

    value: float
    low: float
    high: float
    samples: int
    method: str


class Probe(Protocol):
    """A device that is asked how fast models run on it.

    Attributes:
        name: what the user called the device.
        emulated: its times are not those of the hardware that it stands for.
    """

    @property
    def name(self) -> str: ...
    @property
    def emulated(self) -> bool: ...

    def latency_ms(self, model: bytes) -> float:
        """The median of single inferences, one sample each, in milliseconds."""
        ...

    def p99_ms(self, model: bytes) -> float | None:
        """Their 99th percentile; None where too few are timed to tell it."""
        ...

    def operators(self, model: bytes) -> list[dict[str, Any]]:
        """The kernels that run, in their order: `name`, `op`, `inputs`, `outputs` (names of
        tensors) and `us`, the median microseconds of one inference."""
        ...


@dataclass(frozen=True)
class Bundle:
    """A compiled model: an OCI artifact in the store.

    Attributes:
        digest: of the OCI manifest; the bundle's name.
        manifest: the parsed `manifest.json` (lineage, accuracy, decisions per node).
        blobs: file name (`model.onnx`, `manifest.json`, `statistics.json`, `golden.npz`)
            to its blob.
    """

    digest: Digest
    manifest: Mapping[str, Any]
    blobs: Mapping[str, Descriptor]


@dataclass(frozen=True)
class Image:
    """An aarch64 OCI image in the store. `config.digest` is its identity.

    Attributes:
        digest: of the OCI image manifest.
        layers: lowest first; uncompressed tar, so digest and diff_id are the same.
        contents: name to version of what was put in, Debian and Python packages.
    """

    digest: Digest
    config: Descriptor
    layers: tuple[Descriptor, ...]
    contents: Mapping[str, str]


@dataclass(frozen=True)
class Release:
    """What runs on a device: an image, bundles, settings; signed.

    Attributes:
        digest: of `payload`.
        payload: the canonical JSON that was signed.
        signature: armored SSHSIG over `payload`, namespace `yardarm-release`.
    """

    digest: Digest
    payload: bytes
    signature: bytes
    version: int
    image: Image
    bundles: Mapping[str, Bundle]


@dataclass(frozen=True)
class Address:
    """How to reach a device over SSH.

    Attributes:
        name: what the user called it (`lab:pi5`, `user@host`).
        known_hosts: the file that must hold its host key; None: the user's own.
        identity: private key file; None: agent and default keys.
        emulated: a virtual device, whose latency means nothing.
    """

    name: str
    hostname: str
    port: int = 22
    user: str | None = None
    identity: Path | None = None
    known_hosts: Path | None = None
    emulated: bool = False


@dataclass(frozen=True)
class Jetson:
    """What a Jetson's own system says of its accelerators; "" and None where it does not say.

    Attributes:
        jetpack: version of the package nvidia-jetpack, such as "6.2.1"; many devices lack it.
        tensorrt: version of its library, such as "10.3.0.30".
        python_tensorrt: version of the module that python3 imports.
        cuda: version of its runtime library, such as "12.6".
        cudnn: version of its library.
        power_mode: the mode that is set, such as "MAXN" or "15W".
        power_modes: every mode's name and its id on this very device.
        clocks_pinned: whether clocks can't move, as after `jetson_clocks`.
        dla: DLA cores that Linux shows.
        dla_compiler: whether libnvdla_compiler.so is there, which TensorRT in a container of
            JetPack 5 and 6 takes from the device.
        nvidia: container engine to whether it hands the GPU to containers: Docker by a runtime
            of that name, Podman by a CDI device.
    """

    jetpack: str
    tensorrt: str
    python_tensorrt: str
    cuda: str
    cudnn: str
    power_mode: str
    power_modes: Mapping[str, int]
    clocks_pinned: bool | None
    dla: int | None
    dla_compiler: bool | None
    nvidia: Mapping[str, bool | None]


@dataclass(frozen=True)
class Facts:
    """What a live device says of itself. Sizes in MB (10^6 bytes).

    Attributes:
        model: the device tree's model string, "" without one.
        machine: `uname -m`.
        userland_bits: 32 or 64, of the userland, not the kernel.
        cpu_part: ARM part number of the first core, such as "0xd0b".
        features: ISA features from /proc/cpuinfo.
        python: version of python3, "" without one.
        engines: container engines found, such as {"podman": "4.3.1"}.
        jetpack: L4T release such as "36.4.0", "" when it is no Jetson.
        emulated: it says that it is a Yardarm lab device.
        lab_profile: the profile that a lab device plays, "" on a real one.
        jetson: its accelerators, None when it is no Jetson.
    """

    model: str
    machine: str
    userland_bits: int
    cores: int
    cpu_part: str
    features: tuple[str, ...]
    memory_mb: int
    os: str
    glibc: str
    python: str
    jetpack: str
    engines: Mapping[str, str]
    free_disk_mb: int
    emulated: bool
    lab_profile: str = ""
    jetson: Jetson | None = None
