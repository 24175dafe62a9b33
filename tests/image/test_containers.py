"""podman and Docker take the archive, and a container of it answers an inference.

ARM programs run through qemu-user. The engines are real ones with storage of their own; a
container shares the host's network, since there are no bridges here.
"""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import tiny
from yardarm import image
from yardarm.artifacts import Image
from yardarm.image.attachments import Attachment
from yardarm.profiles import Profile
from yardarm.store import Store

pytestmark = pytest.mark.root

Needs = Callable[[str], None]
NAME = "test:latest"
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""The engines' own need a capability that machines of CI lack."""


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(
    carried: Image, notes: tuple[Attachment, ...], shared_store: Store, tmp_path_factory
) -> Path:
    file: Path = tmp_path_factory.mktemp("carried") / "image.tar"
    image.save(carried, shared_store, file, name=NAME, attachments=notes)
    return file


@pytest.fixture(scope="module")
def shown(pi5: Profile, tmp_path_factory) -> Path:
    """What containers are shown: a bundle, and the cores of a Pi, since onnxruntime under qemu
    would find the host's and crash."""
    folder: Path = tmp_path_factory.mktemp("shown")
    store = Store(folder / "store")
    (folder / "bundle").mkdir()
    for name, blob in tiny.bundle(store).blobs.items():
        (folder / "bundle" / name).write_bytes(store.read(blob.digest))
    core = "processor\t: {}\nFeatures\t: {}\nCPU implementer\t: {}\nCPU part\t: {}\n\n"
    cpu = pi5.cpu
    text = (
        core.format(number, " ".join(cpu.features), cpu.implementer, cpu.part)
        for number in range(cpu.cores)
    )
    (folder / "cpuinfo").write_text("".join(text))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def place() -> Iterator[Path]:
    """An engine's own storage: its path has to be short. What it left mounted goes."""
    with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as text:
        yield Path(text)
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for point in sorted(mounted, reverse=True):
            if point.startswith(f"{text}/"):
                subprocess.run(["umount", point], check=False)


@pytest.fixture
def podman(needs: Needs, place: Path) -> list[str | Path]:
    needs("podman")
    own = ("--root", place / "root", "--runroot", place / "run")
    return ["podman", *own, "--storage-driver", "overlay", "--runtime", "runc"]


@pytest.fixture
def docker(needs: Needs, place: Path) -> Iterator[list[str | Path]]:
    needs("dockerd")
    address = f"unix://{place}/socket"
    with (place / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                *("dockerd", "--data-root", place / "data", "--exec-root", place / "exec"),
                *("--pidfile", place / "pid", "--host", address, "--storage-driver", "overlay2"),
                *("--iptables=false", "--bridge=none"),
            ],
            stdout=log,
            stderr=log,
        )
    client: list[str | Path] = ["docker", "--host", address]
    try:
        until(
            lambda: (
                not subprocess.run([*client, "info"], capture_output=True, check=False).returncode
            )
        )
        yield client
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)


def until(ready: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def started(engine: list[str | Path], shown: Path, port: int) -> str:
    """A container that serves the bundle, by its id: read-only, as the image's own user."""
    serve = ("serve", "--bundle", "/bundle", "--host", "127.0.0.1", "--port", str(port))
    return run(
        *(*engine, "run", "--detach", "--platform", "linux/arm64", "--network", "host", *LIMITS),
        *("--read-only", "--volume", f"{shown}/cpuinfo:/proc/cpuinfo:ro"),
        *("--volume", f"{shown}/bundle:/bundle:ro", NAME, *serve),
    ).strip()


def answered(port: int) -> np.ndarray:
    body = io.BytesIO()
    np.savez(body, **{tiny.INPUT: np.float32([[1, 2, 3]])})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/infer", body.getvalue(), 30) as reply:
        found: np.ndarray = np.load(io.BytesIO(reply.read()))[tiny.OUTPUT]
        return found


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as reply:
            return bool(json.load(reply)["ok"])
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@pytest.mark.parametrize("name", ["podman", "docker"])
def test_it_loads_and_answers(
    name: str, archive: Path, composed: Image, shown: Path, request: pytest.FixtureRequest
) -> None:
    engine: list[str | Path] = request.getfixturevalue(name)
    port = free_port()

    run(*engine, "load", "--input", archive)
    identity = run(*engine, "image", "inspect", "--format", "{{.Id}}", NAME).strip()
    container = started(engine, shown, port)
    try:
        until(lambda: healthy(port))
        assert answered(port).tolist() == [[1, 2]]
    except AssertionError:
        raise AssertionError(run(*engine, "logs", container)) from None
    finally:
        run(*engine, "rm", "--force", container)

    assert identity.removeprefix("sha256:") == composed.config.digest.removeprefix("sha256:")
