"""Where a project's model comes from, brought to ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
from onnx import ModelProto

from yardarm import callables
from yardarm.compile.normalising import graphs
from yardarm.compile.sources import importing, torch_export, torch_source
from yardarm.compile.sources.parity import Parity
from yardarm.compile.sources.torch_session import TorchSession
from yardarm.digest import Digest, of_bytes, of_file, of_json
from yardarm.errors import InvalidInput
from yardarm.profiles import Profile
from yardarm.project import Project

CHECKPOINTS = (".pt", ".pth", ".ckpt", ".safetensors")


@dataclass(frozen=True)
class Imported:
    """A model as it came.

    Attributes:
        model: its ONNX form; names and shapes are what users know.
        digest: of all that it came from: the file and its external data, or the factory's
            source and the weights that it made.
        name: the file's name, or the factory's.
        kind: "onnx" or "torch".
        notes: what happened on the way, in whole sentences.
        parity: holds the ONNX form against its source; None where that is ONNX itself.
        size: bytes of its files, or of the exported model.
    """

    model: ModelProto
    digest: Digest
    name: str
    kind: Literal["onnx", "torch"]
    notes: tuple[str, ...]
    parity: Parity | None
    size: int


def open_source(project: Project, profile: Profile) -> Imported:
    """The project's model: an ONNX file, a `.pt2` file, or what "package.module:factory" makes.

    Raises:
        InvalidInput: there is no such file or function, or it holds or returns anything else.
        Unsupported: an operator has no way onto the target; torch can't export the module, or
            is not installed.
    """
    text = project.model.source
    file = project.path(text)
    bounds = profile.runtime.opset_min, profile.runtime.opset_max
    if file.suffix in CHECKPOINTS:
        raise InvalidInput(
            "a torch checkpoint holds weights, not a model",
            where=str(file),
            hint='name a function that makes the module: source = "package.module:factory"',
        )
    if is_torch(project):
        if file.suffix == ".pt2":
            source = torch_source.from_file(importing.present(file))
            return _from_torch(source, of_file(file), file.name, project, bounds)
        source = torch_source.from_factory(text, project.root)
        return _from_torch(source, callables.digest(text, project.root), text, project, bounds)
    model = importing.load(file)
    files = [file, *_external(file)]
    digests = [of_file(part) for part in files]
    size = sum(part.stat().st_size for part in files)
    digest = digests[0] if len(digests) == 1 else of_json(digests)
    return Imported(model, digest, file.name, "onnx", (), None, size)


def is_torch(project: Project) -> bool:
    """Whether the model has to be exported first, which takes some seconds."""
    file = project.path(project.model.source)
    return file.suffix == ".pt2" or (callables.is_name(project.model.source) and not file.exists())


def _external(file: Path) -> list[Path]:
    """The files beside a model that hold its weights."""
    model = onnx.load(file, load_external_data=False)
    held = {
        entry.value
        for tensor in graphs.tensors(model.graph)
        if onnx.external_data_helper.uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return [file.parent / name for name in sorted(held)]


def _from_torch(
    source: torch_source.TorchSource,
    origin: Digest,
    name: str,
    project: Project,
    bounds: tuple[int, int],
) -> Imported:
    exported = torch_export.export(source, project.layout, *bounds)
    data: bytes = exported.model.SerializeToString(deterministic=True)
    digest = of_json({"origin": origin, "model": of_bytes(data)})
    parity = Parity(
        TorchSession(source, exported.model), exported.model, torch_export.trace(source, exported)
    )
    return Imported(exported.model, digest, name, "torch", exported.notes, parity, len(data))
