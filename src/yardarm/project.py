"""`yardarm.toml`, validated once and frozen. Paths in it are relative to its folder."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from yardarm import callables
from yardarm.artifacts import Layout
from yardarm.errors import InvalidInput

FILE = "yardarm.toml"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelSection(_Section):
    source: str = Field(
        description="the model: an ONNX or .pt2 file, or a torch factory: package.module:function",
        examples=["model.onnx"],
    )


class DataSection(_Section):
    calibration: str = Field(
        description="arrays named as the model's inputs: an npz, a folder of .npy files, "
        "or a callable: package.module:function",
        examples=["calibration.npz"],
    )
    evaluation: str = Field(description="the same, plus the labels", examples=["evaluation.npz"])
    labels: str = Field("label", description="name of the labels' array in the evaluation set")
    groups: str | None = Field(
        None,
        description="name of an array in the evaluation set: accuracy is told for each value",
        examples=["person"],
    )
    clusters: str | None = Field(
        None,
        description="name of an array that tells which samples depend on each other (a person, "
        "a recording): intervals allow for it",
        examples=["person"],
    )
    batch: Annotated[int, Field(ge=0)] = Field(
        32, description="samples a batch; 0 feeds each sample as it is, without a batch axis"
    )
    constant_inputs: tuple[str, ...] = Field(
        (), description="inputs fed whole with every batch", examples=[["state"]]
    )
    input_batch_axis: dict[str, int] = Field(
        {}, description="the sample axis of inputs where it is not 0", examples=[{"x": 1}]
    )
    output_batch_axis: dict[str, int] = Field(
        {}, description="the sample axis of outputs where it is not 0", examples=[{"logits": 1}]
    )


METRICS = ("top1", "f1", "threshold", "mse", "cosine")


class MetricSection(_Section):
    """How outputs are scored. `root` is the project's folder, where callables are found."""

    name: str = Field(
        "top1",
        description="top1, f1, threshold, mse, cosine, or a callable: package.module:function",
    )
    output: str | None = Field(
        None, description="the output that is scored; default: the first", examples=["logits"]
    )
    threshold: float | None = Field(
        None, description="threshold, f1: an output from this value on says yes", examples=[0.5]
    )
    average: Literal["macro", "binary"] = Field(
        "macro", description="f1: the mean over the classes in the labels, or class 1 alone"
    )
    lower_is_better: bool = Field(
        False, description="for a callable: smaller values are better, as with an error"
    )
    root: Path | None = Field(None, exclude=True)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in METRICS and not callables.is_name(name):
            known = ", ".join(METRICS)
            raise ValueError(f"there is no metric {name!r}: {known} or package.module:function")
        return name

    @model_validator(mode="after")
    def _directed(self) -> MetricSection:
        if self.lower_is_better and not self.custom:
            raise ValueError(f"lower_is_better is for callables; {self.name} has its own direction")
        return self

    @property
    def custom(self) -> bool:
        """It is a callable of the project's own."""
        return self.name not in METRICS

    @property
    def better_when_lower(self) -> bool:
        return self.lower_is_better if self.custom else self.name == "mse"


class BudgetSection(_Section):
    max_drop: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="largest loss of the metric, as a share (0.005 is half a point)",
        examples=[0.005],
    )
    max_size_mb: Annotated[float, Field(gt=0)] | None = Field(
        None, description="largest model.onnx, in MB", examples=[8.0]
    )
    max_group_drop: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="largest measured loss of the metric in any of the groups of data.groups",
        examples=[0.02],
    )
    max_latency_ms: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="largest p99 of one inference; held only where a device is asked (--on)",
        examples=[20.0],
    )


class ImageSection(_Section):
    requirements: tuple[str, ...] = Field(
        (), description="more Python packages, as pip names them", examples=[["pillow>=10"]]
    )
    constraints: tuple[str, ...] = Field(
        (),
        description="bounds on versions of packages that come along, as pip writes them",
        examples=[["numpy<2.4"]],
    )
    packages: tuple[str, ...] = Field(
        (),
        description="Debian packages on top of the base; unpacked, never run",
        examples=[["libgomp1"]],
    )
    base: str | None = Field(
        None,
        description="what the image lies on: REGISTRY/REPOSITORY:TAG, oci:FOLDER:TAG or "
        "archive:FILE; default: Debian packages of the profile's suite",
        examples=["oci:base:latest"],
    )
    source: tuple[str, ...] = Field(
        (),
        description="your own files and folders, copied to /opt/yardarm/app",
        examples=[["app"]],
    )
    keep: tuple[str, ...] = Field(
        (),
        description="globs of paths in the image that the diet would leave out",
        examples=[["*/scipy/*/tests/*"]],
    )

    @field_validator("packages")
    @classmethod
    def _debian(cls, packages: tuple[str, ...]) -> tuple[str, ...]:
        for name in packages:
            if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name):
                raise ValueError(f"not the name of a Debian package: {name!r}")
        return packages


class TensorrtSection(_Section):
    """What Jetsons are told when they build the engine."""

    jetpack: str | None = Field(
        None,
        description="the JetPack that is compiled for; default: the newest on the profile's `os`",
        examples=["6.2"],
    )
    min_shapes: dict[str, tuple[int, ...]] = Field(
        {},
        description="smallest shapes of inputs with axes of any length; default: one sample, "
        "other axes as in the data",
        examples=[{"x": [1, 80]}],
    )
    opt_shapes: dict[str, tuple[int, ...]] = Field(
        {},
        description="shapes that the engine is tuned for; default: one sample",
        examples=[{"x": [1, 80]}],
    )
    max_shapes: dict[str, tuple[int, ...]] = Field(
        {}, description="largest shapes; default: `data.batch` samples", examples=[{"x": [8, 80]}]
    )
    workspace_mb: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="most memory for the builder's trials, in MB; default: the profile's",
        examples=[512],
    )
    optimization_level: Annotated[int, Field(ge=0, le=5)] | None = Field(
        None,
        description="how long the builder tries, 0 to 5; default: the profile's",
        examples=[3],
    )


class RunSection(_Section):
    mode: Literal["serve", "batch"] = Field(
        "serve", description="what the runtime does when the image is started without arguments"
    )
    command: tuple[str, ...] = Field(
        (),
        description="a program of your own that the image starts instead of the runtime",
        examples=[["python3", "-m", "app"]],
    )
    port: Annotated[int, Field(ge=1024, le=65535)] = Field(
        8000, description="loopback port of the service on the device"
    )
    threads: Annotated[int, Field(ge=1)] = Field(1, description="intra-op threads of the engine")


class BenchSection(_Section):
    scenario: Literal["single-stream"] = Field(
        "single-stream", description="one inference after the other, one sample each"
    )
    iterations: Annotated[int, Field(ge=1)] = Field(
        1000,
        description="timed inferences; p99 needs 662. A virtual device times 100 at most",
    )
    warmup: Annotated[int, Field(ge=0)] = Field(20, description="untimed inferences before them")


class Project(_Section):
    """A project file. `root` is its folder, `name` that folder's name."""

    root: Path
    model: ModelSection
    data: DataSection
    metric: MetricSection = MetricSection()
    budget: BudgetSection = BudgetSection()
    image: ImageSection = ImageSection()
    tensorrt: TensorrtSection = TensorrtSection()
    run: RunSection = RunSection()
    bench: BenchSection = BenchSection()

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def layout(self) -> Layout:
        """How the model takes samples."""
        data = self.data
        constant = frozenset(data.constant_inputs)
        return Layout(data.batch, constant, data.input_batch_axis, data.output_batch_axis)

    def path(self, text: str) -> Path:
        return self.root / text


def load(where: Path) -> Project:
    """Read a project from its file, or from the folder that holds `yardarm.toml`.

    Raises:
        InvalidInput: missing, not TOML, an unknown or wrong key (its path is named).
    """
    file = where / FILE if where.is_dir() else where
    if not file.is_file():
        raise InvalidInput(
            "there is no project file", where=str(file), hint="`yardarm init` writes one"
        )
    body = read_toml(file)
    metric = body.get("metric", {})
    for table, path in ((body, "root"), (metric, "metric.root")):
        if isinstance(table, dict) and "root" in table:
            raise InvalidInput("unknown key", where=f"{file}: {path}")
    root = {"root": file.parent.resolve()}
    found = {"metric": metric | root} if isinstance(metric, dict) else {}
    try:
        # Through JSON mode, so that TOML's arrays may fill tuples while types stay strict.
        return Project.model_validate(_tuples(body) | _tuples(found) | root)
    except ValidationError as error:
        raise invalid(file, error) from None


def read_toml(file: Path) -> dict[str, Any]:
    """Raises InvalidInput naming the file, and the line where TOML tells it."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not valid TOML: {error}", where=str(file)) from None


def invalid(file: Path, error: ValidationError) -> InvalidInput:
    """Pydantic's findings as one error that names the file and each key's path."""
    findings = [
        f"{'.'.join(str(part) for part in item['loc'])}: "
        + ("unknown key" if item["type"] == "extra_forbidden" else item["msg"])
        for item in error.errors()
    ]
    return InvalidInput("; ".join(findings), where=str(file))


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
