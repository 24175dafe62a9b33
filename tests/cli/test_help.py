"""Help, completion and start-up of the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from yardarm.cli import app as application
from yardarm.cli.app import app

HEAVY = [
    "onnx",
    "onnxruntime",
    "torch",
    "numpy",
    "fabric",
    "paramiko",
    "cryptography",
    "jinja2",
    "urllib3",
]


def verbs(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below `command`, groups that do something by themselves included."""
    below = getattr(command, "commands", {})
    if path and (not below or command.invoke_without_command):
        yield path, command
    for name, child in below.items():
        yield from verbs(child, (*path, name))


VERBS = dict(verbs(typer.main.get_command(app)))
INTERACTIVE = {("lab", "ssh")}  # hands the terminal to another program


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_every_verb_shows_an_example_of_itself(path: tuple[str, ...], cli: Any) -> None:
    text = cli(*path, "--help").stdout
    assert f"Example: yardarm {' '.join(path)}" in " ".join(text.split())


@pytest.mark.parametrize("path", sorted(VERBS.keys() - INTERACTIVE), ids=" ".join)
def test_every_verb_speaks_json(path: tuple[str, ...]) -> None:
    options = {option for parameter in VERBS[path].params for option in parameter.opts}
    assert "--json" in options


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['yardarm', '--help']\n"
        "from yardarm.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print('loaded', *sorted({n.split('.')[0] for n in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stdout.splitlines()[-1].split()
    assert loaded[0] == "loaded"
    assert "typer" in loaded
    assert not set(loaded) & {*HEAVY, "rich", "pydantic"}


def test_bash_takes_the_completion_script_and_completes_with_it() -> None:
    program = Path(sys.executable).parent
    session = (
        f'PATH="{program}:$PATH"\n'
        'eval "$(yardarm --show-completion)"\n'
        "COMP_WORDS=(yardarm prof) COMP_CWORD=1\n"
        "_yardarm_completion yardarm\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc"], input=session, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["profiles"]


def test_completion_in_bash_completes_verbs_and_options(cli: Any) -> None:
    def complete(*words: str) -> list[str]:
        settings = {
            "_YARDARM_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        }
        return cli(env=settings, code=None).stdout.split()

    assert complete("yardarm", "prof") == ["profiles"]
    assert "show" in complete("yardarm", "profiles", "s")
    assert "--json" in complete("yardarm", "profiles", "show", "--js")
    assert complete("yardarm", "compile", "--profile", "raspberry-pi-5") == ["raspberry-pi-5"]
    assert "raspberry-pi-4b" in complete("yardarm", "profiles", "show", "rasp")


def test_usage_errors_are_json_too(cli: Any) -> None:
    for words in (["compile", "--nosuch"], ["nosuchverb"]):
        done = cli(*words, "--json", code=2)
        assert done.json["error"]["exit_code"] == 2
        assert words[-1] in done.json["error"]["what"]


def test_help_has_a_whole_sentence_for_each_verb(cli: Any) -> None:
    lines = cli("--help", env={"COLUMNS": "80"}).stdout.partition("Commands:")[2].splitlines()
    assert len([line for line in lines if line.strip()]) == len(application.VERBS)
    assert not [line for line in lines if line.rstrip().endswith("...")]


def test_help_has_a_whole_sentence_for_what_engines_take(cli: Any) -> None:
    told = cli("engine", "--help", env={"COLUMNS": "80"}).stdout.partition("Commands:")[2]
    assert "..." not in told


def test_a_wrong_option_is_a_usage_error(cli: Any) -> None:
    ran = cli("profiles", "--no-such-option", code=2)
    assert "--no-such-option" in ran.stderr
    assert "Traceback" not in ran.stderr
