"""What all tests share: a home of their own, the `root` marker, and the real program."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["lab_fixtures", "sharing", "zoo_fixtures"]

PROGRAM = Path(sys.executable).parent / "yardarm"
REPOSITORY = Path(__file__).parents[1]
DEBIAN_TOOLS = ("apt-get", "dpkg-query", "ip", "mmdebstrap", "qemu-aarch64-static", "unshare")


def lacking() -> str:
    """Why tests marked `root` can't run here; "": they can."""
    if not sys.platform.startswith("linux"):
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root (network namespaces, mounts)"
    missing = [tool for tool in DEBIAN_TOOLS if shutil.which(tool) is None]
    return f"needs {', '.join(missing)}; scripts/setup installs them on Debian" if missing else ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") is None or not (reason := lacking()):
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI skips nothing, but this test {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(autouse=True, scope="session")
def heeded() -> Iterator[None]:
    """Signals, also where whoever started the tests ignores them, as `nohup … &` does: programs
    would inherit that, and heed none."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keys, known hosts and settings of the user are out of sight; downloads stay shared."""
    home = tmp_path_factory.mktemp("home")
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", cache)
        for name, file in (("UV_CONFIG_FILE", "uv/uv.toml"), ("PIP_CONFIG_FILE", "pip/pip.conf")):
            settings = _user_config() / file
            if settings.is_file() and name not in os.environ:  # which registry this machine uses
                patch.setenv(name, str(settings))
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
        patch.setenv("XDG_STATE_HOME", str(home / ".local" / "state"))
        patch.delenv("YARDARM_STORE", raising=False)
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        yield home


def _user_config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


@dataclass(frozen=True)
class Ran:
    """What a run of the program left: exit code, and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


Cli = Callable[..., Ran]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run the installed `yardarm` as a user does: `cli("profiles", "--json").json`.

    `cwd` is a new folder unless given; `env` is added; `code` is asserted (None: any).
    """

    def run(
        *arguments: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        code: int | None = 0,
        timeout: float = 300,
    ) -> Ran:
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=cwd or tmp_path,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        assert code is None or ran.code == code, f"exit code {ran.code}\n{ran.stdout}{ran.stderr}"
        return ran

    return run


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def example() -> Path:
    """The text-angle example with its model and data. Copy it: tests of other workers read it."""
    folder = REPOSITORY / "examples" / "text-angle"
    with (folder / "prepare.py").open() as script:
        fcntl.flock(script, fcntl.LOCK_EX)  # one worker draws, the others find it done
        subprocess.run([sys.executable, script.name], check=True, timeout=900)
    return folder
