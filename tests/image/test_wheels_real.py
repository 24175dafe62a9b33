"""Wheels of the index that this machine is configured for, and an image made without it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from uv import find_uv_bin

from yardarm import lockfile, paths
from yardarm.artifacts import Image
from yardarm.flow import wheels as flow
from yardarm.image import doctor
from yardarm.image.requirements import request
from yardarm.lockfile import Lock
from yardarm.profiles import Profile

PROJECT = """
[model]
source = "model.onnx"
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
"""


def test_what_the_index_has_for_a_pi(pi5: Profile) -> None:
    """docopt has never had a wheel."""
    report = doctor.examine(request(["numpy", "pillow>=10", "docopt"], pi5), Lock(), pi5.name)

    found = {each.name: each for each in report.findings}
    assert not report.ready
    for name in ("numpy", "onnxruntime", "pillow"):
        each = found[name]
        assert each.version == each.usable and each.file.endswith("aarch64.whl"), name
        assert each.size is not None and each.size > 1_000_000
        assert each.version == each.newest or each.reasons
    assert [why.kind for why in found["docopt"].reasons] == ["source"]
    assert "build a wheel" in found["docopt"].routes[0]
    assert any(" of onnxruntime" in text for text in found["numpy"].asked)


@pytest.mark.root
def test_with_the_network_cut_after_locking(
    composed: Image,
    tmp_path: Path,
    needs: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the project's store nor uv's cache has anything: the wheels lie in the user's."""
    needs("unshare")
    (tmp_path / "cache/yardarm").mkdir(parents=True)
    (tmp_path / "cache/yardarm/debian").symlink_to(paths.cache() / "debian")
    uv = subprocess.run(
        [find_uv_bin(), "cache", "dir"], capture_output=True, check=True, text=True
    ).stdout.strip()
    monkeypatch.setenv("UV_CACHE_DIR", uv)  # what it has is not downloaded again for this test
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "angle"
    place.mkdir()
    (place / "yardarm.toml").write_text(PROJECT)
    flow.lock(place, "raspberry-pi-5")
    text = (place / lockfile.FILE).read_text()
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))

    done = subprocess.run(
        [
            *("unshare", "--net", "timeout", "120", sys.executable, "-m", "yardarm", "image"),
            *("--project", place, "--profile", "raspberry-pi-5"),
        ],
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()
    assert (place / lockfile.FILE).read_text() == text
    assert "onnxruntime" in done.stdout.decode()
