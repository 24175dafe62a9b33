"""The wheel, built from the files that git knows and installed into an environment of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

UV = Path(sys.executable).parent / "uv"


def run(*arguments: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [*arguments], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The repository as a clone would have it: no ignored file in it."""
    folder = tmp_path_factory.mktemp("checkout")
    known = ["git", "-C", repository, "ls-files", "-z"]
    for name in run(*known, "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (repository / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(repository / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(UV, "build", "--wheel", "--no-build-isolation", "--python", sys.executable,
        "--out-dir", folder, checkout)  # fmt: skip
    (built,) = folder.glob("yardarm-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """`bin` of a fresh environment; the dependencies are borrowed from ours by a .pth file."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--no-deps", "--python", python, wheel)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_wheel_carries_every_source_file_and_profile(wheel: Path, checkout: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    source = checkout / "src"
    files = {str(file.relative_to(source)) for file in source.rglob("*") if file.is_file()}
    profiles = {f"yardarm/device_profiles/{f.name}" for f in checkout.glob("device_profiles/*")}
    assert {"yardarm_agent", "yardarm_runtime", "yardarm_wire"} <= {n.split("/")[0] for n in inside}
    assert "yardarm/device_profiles/raspberry-pi-5.toml" in inside
    assert files | profiles <= inside
    extra = {name for name in inside - files - profiles if ".dist-info/" not in name}
    assert not extra


def test_the_installed_program_runs_from_the_wheel(
    installed: Path, tmp_path: Path, repository: Path
) -> None:
    where = run(installed / "python", "-c", "import yardarm; print(yardarm.__file__)").strip()
    assert Path(where).is_relative_to(installed.parent)
    listed = json.loads(run(installed / "yardarm", "profiles", "--json", cwd=tmp_path))
    known = [file.stem for file in (repository / "device_profiles").glob("[!_]*.toml")]
    assert sorted(profile["name"] for profile in listed) == sorted(known)
