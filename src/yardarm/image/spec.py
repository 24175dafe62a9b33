"""What a project wants in its image, checked and with its paths found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yardarm.errors import InvalidInput
from yardarm.project import Project, RunSection

BUNDLE = "/bundle"
"""Where a container is shown the compiled model."""

ENGINES = "/engines"
"""Where a container is shown the engines that were built on the device."""

WORK = "/work"
"""Where a container is shown what it works on, and writes its results."""


def served(port: int = 8000, threads: int = 1) -> tuple[str, ...]:
    """The runtime's arguments that serve the model; inside a container, to all of its network."""
    return (
        *("serve", "--bundle", BUNDLE, "--host", "0.0.0.0"),
        *("--port", str(port), "--threads", str(threads)),
    )


def batched(threads: int = 1) -> tuple[str, ...]:
    """The runtime's arguments that answer every sample in a file."""
    return (
        *("batch", "--bundle", BUNDLE, "--data", f"{WORK}/input.npz"),
        *("--output", f"{WORK}/output.npz", "--threads", str(threads)),
    )


@dataclass(frozen=True)
class Spec:
    """What goes into an image.

    Attributes:
        requirements: Python packages, as pip names them, besides the runtime's own.
        constraints: bounds on versions of whatever comes along, as pip writes them.
        packages: Debian packages on top of the base.
        base: None: Debian packages of the profile's suite;
            "REGISTRY/REPOSITORY:TAG[@sha256:...]"; "oci:FOLDER[:TAG]"; "archive:FILE".
        source: absolute paths of the application's files and folders; in the image each has
            its last name.
        keep: globs of paths in the image that the diet would leave out.
        command: what the image runs, as a list; (): Yardarm's runtime.
        arguments: what the runtime is told where a container is given no arguments.
        root: the folder that paths in `base` are relative to.
        jetpack: of a Jetson; default: the newest on the profile's system.
    """

    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    base: str | None = None
    source: tuple[Path, ...] = ()
    keep: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = served()
    root: Path = Path()
    jetpack: str | None = None

    @staticmethod
    def of(project: Project) -> Spec:
        """A project's, with paths relative to its folder.

        Raises:
            InvalidInput: a source is missing, is not below the project's folder, or two have
                one name.
        """
        wanted = project.image
        return Spec(
            requirements=wanted.requirements,
            constraints=wanted.constraints,
            packages=wanted.packages,
            base=wanted.base,
            source=_sources(project),
            keep=wanted.keep,
            command=project.run.command,
            arguments=_arguments(project.run),
            root=project.root,
            jetpack=project.tensorrt.jetpack,
        )


def _arguments(run: RunSection) -> tuple[str, ...]:
    if run.command:
        return ()
    return served(run.port, run.threads) if run.mode == "serve" else batched(run.threads)


def _sources(project: Project) -> tuple[Path, ...]:
    found = tuple(_source(project, text) for text in project.image.source)
    names = [path.name for path in found]
    for name in names:
        if names.count(name) > 1:
            raise _wrong(f"two of them would be called {name} in the image", "rename one")
    return found


def _source(project: Project, text: str) -> Path:
    path = project.path(text)
    if not path.exists():
        raise _wrong(f"there is no {text}", "name files and folders beside yardarm.toml")
    real = path.resolve()
    if real == project.root or not real.is_relative_to(project.root):
        raise _wrong(f"{text} is not below the project's folder", "name files and folders in it")
    return real


def _wrong(what: str, hint: str) -> InvalidInput:
    return InvalidInput(what, where="[image] source", hint=hint)
