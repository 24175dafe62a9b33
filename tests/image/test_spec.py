"""What a project says of its image, and that the runtime understands what it is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from yardarm import project
from yardarm.errors import InvalidInput
from yardarm.image import Spec
from yardarm.image.spec import batched, served
from yardarm_runtime.__main__ import _parser

FILE = """
[model]
source = "m"
[data]
calibration = "c"
evaluation = "e"
[image]
{image}
[run]
{run}
"""


def spec(folder: Path, image: str = "", run: str = "") -> Spec:
    (folder / "yardarm.toml").write_text(FILE.format(image=image, run=run))
    return Spec.of(project.load(folder))


def test_a_project_that_says_nothing_is_the_plain_image(tmp_path: Path) -> None:
    found = spec(tmp_path)
    assert found == Spec(root=tmp_path)


@pytest.mark.parametrize("arguments", [served(8011, 2), batched(2)], ids=["serve", "batch"])
def test_the_runtime_takes_its_arguments(arguments: tuple[str, ...]) -> None:
    said = _parser().parse_args(list(arguments))
    assert (said.bundle, said.threads) == ("/bundle", 2)


def test_settings_become_arguments(tmp_path: Path) -> None:
    assert spec(tmp_path, run="port = 8011\nthreads = 2").arguments == served(8011, 2)
    assert spec(tmp_path, run='mode = "batch"').arguments == batched()
    own = spec(tmp_path, run='command = ["python3", "-m", "app"]')
    assert (own.command, own.arguments) == (("python3", "-m", "app"), ())


def test_a_package_that_is_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not the name of a Debian package"):
        spec(tmp_path, image='packages = ["--allow-unauthenticated"]')
