"""The project's own files in an image."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from yardarm import project
from yardarm.digest import Digest
from yardarm.errors import InvalidInput
from yardarm.image import Spec, application
from yardarm.image.config import config
from yardarm.image.foundation import Foundation
from yardarm.lockfile import Lock
from yardarm.profiles import Profile
from yardarm.store import Store

FILE = """
[model]
source = "model.onnx"
[data]
calibration = "c.npz"
evaluation = "e.npz"
[image]
source = {source}
"""


def spec(folder: Path, source: str) -> Spec:
    folder.mkdir(exist_ok=True)
    (folder / "yardarm.toml").write_text(FILE.format(source=source))
    return Spec.of(project.load(folder))


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A project's folder with an application, and what lies around in one."""
    made = tmp_path / "project" / "app"
    for name in ("main.py", "steps/decode.py", "__pycache__/main.pyc", ".git/HEAD", "run.sh"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    (made / "run.sh").chmod(0o700)
    (made / "decode.py").symlink_to("steps/decode.py")
    return made


def members(made: object, store: Store) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(store.path(Digest(made["blob"]["digest"]))) as tar:
        return {member.name: member for member in tar}


def test_files_are_copied_without_what_is_of_this_machine(app: Path, tmp_path: Path) -> None:
    chosen = application.read(spec(app.parent, '["app/"]').source)

    found = members(application.make(chosen, Store(tmp_path / "store")), Store(tmp_path / "store"))

    inside = sorted(name for name in found if name.startswith("opt/yardarm/app/"))
    assert [name.removeprefix("opt/yardarm/app/") for name in inside] == [
        *("app", "app/decode.py", "app/main.py", "app/run.sh"),
        *("app/steps", "app/steps/decode.py"),
    ]
    assert found["opt/yardarm/app/app/decode.py"].linkname == "steps/decode.py"
    assert found["opt/yardarm/app/app/run.sh"].mode == 0o755
    assert {(member.uid, member.mtime) for member in found.values()} == {(0, 0)}
    assert chosen.left_out == {"app: bytecode": 20, "app: histories": 9}


def test_what_is_kept_is_asked_for(app: Path) -> None:
    chosen = application.read(spec(app.parent, '["app"]').source, ["*/__pycache__*"])
    assert "opt/yardarm/app/app/__pycache__/main.pyc" in {each.path for each in chosen.entries}


def test_another_folder_hour_and_umask_give_the_same_layer(app: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    old = os.umask(0o077)
    try:
        for name in ("steps/decode.py", "run.sh", "main.py"):
            (other / "app" / name).parent.mkdir(parents=True, exist_ok=True)
            (other / "app" / name).write_text(name)
            os.utime(other / "app" / name, (10, 10))
    finally:
        os.umask(old)
    (other / "app/run.sh").chmod(0o755)
    (other / "app/decode.py").symlink_to("steps/decode.py")

    first, second = (application.read(spec(each, '["app"]').source) for each in (app.parent, other))

    assert application.key(first) == application.key(second)
    store = Store(tmp_path / "store")
    assert application.make(first, store)["blob"] == application.make(second, store)["blob"]


def test_a_changed_byte_is_another_layer(app: Path) -> None:
    wanted = spec(app.parent, '["app"]').source
    before = application.key(application.read(wanted))
    (app / "main.py").write_text("main.PY")
    assert application.key(application.read(wanted)) != before


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "../yardarm.toml", ".git/HEAD"])
def test_a_link_out_of_what_is_copied_is_refused(app: Path, target: str) -> None:
    (app / "link").symlink_to(target)
    with pytest.raises(InvalidInput, match="leads out of what is copied") as refused:
        application.read(spec(app.parent, '["app"]').source)
    assert refused.value.where == "app/link"


def test_a_pipe_is_refused(app: Path) -> None:
    os.mkfifo(app / "pipe")
    with pytest.raises(InvalidInput, match="neither file, folder nor link"):
        application.read(spec(app.parent, '["app"]').source)


def test_a_module_that_hides_pythons_is_refused(app: Path) -> None:
    (app.parent / "types.py").write_text("")
    with pytest.raises(InvalidInput, match="hide Python's own module types"):
        application.read(spec(app.parent, '["app", "types.py"]').source)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ('["nowhere"]', "there is no nowhere"),
        ('["."]', "is not below the project's folder"),
        ('["../other"]', "is not below the project's folder"),
        ('["link"]', "is not below the project's folder"),
        ('["app", "more/app"]', "two of them would be called app"),
    ],
)
def test_sources_are_checked(app: Path, source: str, says: str) -> None:
    (app.parent.parent / "other").mkdir()
    (app.parent / "more/app").mkdir(parents=True)
    (app.parent / "link").symlink_to("../other")
    with pytest.raises(InvalidInput, match=says):
        spec(app.parent, source)


def test_both_import_and_the_runtime_comes_first(app: Path, pi5: Profile) -> None:
    said = config((), spec(app.parent, '["app"]'), {}, Foundation((), Lock(), pi5))["config"]
    assert "PYTHONPATH=/opt/yardarm/lib:/opt/yardarm/app" in said["Env"]
    assert said["WorkingDir"] == "/opt/yardarm/app"


def test_the_command_is_the_entry(pi5: Profile) -> None:
    command = ("python3", "-m", "app")
    said = config((), Spec(command=command, arguments=()), {}, Foundation((), Lock(), pi5))[
        "config"
    ]
    assert (said["Entrypoint"], said["Cmd"]) == (list(command), [])
