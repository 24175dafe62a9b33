"""docs/ tells every setting and every exit code, and nothing that is not so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from yardarm import errors, profiles, project, template
from yardarm.reference import Setting, settings


def value_and_need(setting: Setting) -> str:
    default: Any = setting.default
    empty = default is None or default in ((), "")
    return (
        "required"
        if setting.required
        else "optional"
        if empty
        else f"default {json.dumps(default)}"
    )


def table(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if re.match(r"\| [`\d]", line)]
    return [re.split(r"\s*\|\s*", line)[1:-1] for line in lines]


@pytest.mark.parametrize(
    ("page", "model"),
    [("profiles.md", profiles.Profile), ("project-file.md", project.Project)],
    ids=["profiles", "project"],
)
def test_page_tells_every_setting(repository: Path, page: str, model: type[BaseModel]) -> None:
    told = table((repository / "docs" / page).read_text())
    assert told == [
        [f"`{item.key}`", item.kind, value_and_need(item), item.description]
        for item in settings(model)
    ]


def example(repository: Path, page: str) -> str:
    found = re.search(r"```toml\n(.*?)```", (repository / "docs" / page).read_text(), re.DOTALL)
    assert found
    return found[1]


def test_project_example_loads_and_sets_everything(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / project.FILE
    file.write_text(example(repository, "project-file.md"))
    loaded = project.load(tmp_path).model_dump(exclude={"root"}, exclude_unset=True)
    told = {f"{table}.{key}" for table, keys in loaded.items() for key in keys}
    assert told == {item.key for item in settings(project.Project)}


def test_profile_example_loads(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "device_profiles").mkdir()
    text = example(repository, "profiles.md")
    (tmp_path / "device_profiles" / "kiosk.toml").write_text(text)
    assert profiles.load("kiosk", tmp_path).memory.sizes_gb == (4,)


def test_exit_codes_are_those_of_the_errors(repository: Path) -> None:
    told = {
        (int(code), name.strip("`"))
        for code, name, _ in table((repository / "docs" / "exit-codes.md").read_text())
    }
    kinds = [errors.YardarmError, *errors.YardarmError.__subclasses__()]
    real = {(kind.exit_code, kind.__name__) for kind in kinds if kind.__module__ == errors.__name__}
    signals = {(code, "") for code in (errors.HUNG_UP, errors.INTERRUPTED, errors.TERMINATED)}
    assert told == real | {(0, "")} | signals


def test_template_is_valid_and_shows_every_setting(tmp_path: Path) -> None:
    template.write(tmp_path)
    loaded = project.load(tmp_path).model_dump(exclude={"root"}, exclude_unset=True)
    told = {f"{table}.{key}" for table, keys in loaded.items() for key in keys}
    assert told == set(template.required())
    for item in settings(project.Project):
        name = item.key.split(".")[1]
        assert re.search(rf"^(# )?{name} = (?!null)", template.text(), re.MULTILINE), item.key
        assert item.description in template.text()


def test_template_is_valid_with_every_option_switched_on(tmp_path: Path) -> None:
    """The optional lines are right too: each without its `# `."""
    text = re.sub(r"^# (\w+ = )", r"\1", template.text(), flags=re.MULTILINE)
    (tmp_path / project.FILE).write_text(text)
    loaded = project.load(tmp_path).model_dump(exclude={"root"}, exclude_unset=True)
    assert sum(len(keys) for keys in loaded.values()) == len(list(settings(project.Project)))
