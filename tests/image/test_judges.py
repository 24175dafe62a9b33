"""Others judge the image: skopeo, umoci, and Python inside it, under qemu."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import oci_rules
from yardarm import image
from yardarm.artifacts import Image
from yardarm.image.attachments import Attachment
from yardarm.profiles import Profile
from yardarm.store import Store

Needs = Callable[[str], None]
Notes = tuple[Attachment, ...]

pytestmark = pytest.mark.root

INSIDE = """
import importlib, json, os, pathlib, pwd, ssl, sys
import numpy, onnxruntime, psutil, waitress, google.protobuf, flatbuffers, numpy.testing
import yardarm_runtime, yardarm_wire
for module in pathlib.Path("/usr/lib/python3.11/lib-dynload").glob("*.so"):
    importlib.import_module(module.name.partition(".")[0])
session = onnxruntime.InferenceSession("/double.onnx")
print(json.dumps({
    "numpy": numpy.__version__,
    "onnxruntime": onnxruntime.__version__,
    "psutil": psutil.__version__,
    "machine": os.uname().machine,
    "user": pwd.getpwuid(0).pw_name,
    "certificates": ssl.create_default_context().cert_store_stats()["x509_ca"],
    "answer": session.run(None, {"x": numpy.float32([[1, 2, 3]])})[0].tolist(),
    "shell": os.system("exit 3") >> 8,
    "compiled": len(list(pathlib.Path("/").glob("[!ps]*/**/*.pyc"))),
}))
"""

# Everything that is mounted goes with the namespace. The host's own cpuinfo would make
# onnxruntime crash under qemu: it finds no ARM core there.
ENTER = """
mount -t proc proc "$1/proc" && mount --bind "$2" "$1/proc/cpuinfo" && shift 2 && exec "$@"
"""


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def reported(*argv: str | Path) -> Any:
    return json.loads(run(*argv))


@pytest.fixture(scope="module")
def root(composed: Image, shared_store: Store, needs: Needs, tmp_path_factory) -> Path:
    """The image's file system, unpacked by umoci."""
    needs("umoci")
    bundle = tmp_path_factory.mktemp("umoci") / "bundle"
    run("umoci", "unpack", "--image", f"{shared_store.root}:image/test", bundle)
    return bundle / "rootfs"


def test_skopeo_reads_it_as_it_lies_in_the_store(
    composed: Image, shared_store: Store, needs: Needs
) -> None:
    needs("skopeo")

    seen = reported("skopeo", "inspect", f"oci:{shared_store.root}:image/test")

    assert seen["Digest"] == composed.digest
    assert (seen["Architecture"], seen["Os"]) == ("arm64", "linux")
    assert seen["Layers"] == [layer.digest for layer in composed.layers]


@pytest.fixture(scope="module")
def archive(carried: Image, notes: Notes, shared_store: Store, tmp_path_factory) -> Path:
    """The image in a file, as a user carries it to a device."""
    file = tmp_path_factory.mktemp("archive") / "image.tar"
    image.save(carried, shared_store, file, name="test:latest", attachments=notes)
    return file


def test_the_archive_is_an_oci_archive_and_a_docker_archive(
    archive: Path, composed: Image, carried: Image, needs: Needs
) -> None:
    needs("skopeo")

    assert (
        reported("skopeo", "inspect", f"oci-archive:{archive}:latest")["Digest"] == carried.digest
    )
    docker = reported("skopeo", "inspect", "--config", f"docker-archive:{archive}:test:latest")
    assert docker["rootfs"]["diff_ids"] == [layer.digest for layer in composed.layers]


def test_skopeo_copies_it_byte_for_byte(
    archive: Path, carried: Image, needs: Needs, tmp_path: Path
) -> None:
    needs("skopeo")

    run("skopeo", "copy", "-q", f"oci-archive:{archive}:latest", f"oci:{tmp_path}/copy:test")

    copied = {file.name for file in (tmp_path / "copy/blobs/sha256").iterdir()}
    blobs = (carried.digest, carried.config.digest, *(each.digest for each in carried.layers))
    assert copied == {digest.removeprefix("sha256:") for digest in blobs}


def test_the_archive_keeps_the_rules(archive: Path, notes: Notes, tmp_path: Path) -> None:
    with tarfile.open(archive) as members:
        members.extractall(tmp_path, filter="data")

    assert oci_rules.problems(tmp_path) == []
    listed = json.loads((tmp_path / "index.json").read_bytes())["manifests"][1:]
    assert [each["digest"] for each in listed] == [each.manifest.digest for each in notes]


def test_the_store_keeps_the_rules(composed: Image, notes: Notes, shared_store: Store) -> None:
    assert oci_rules.problems(shared_store.root) == []


def test_the_rules_are_rules(tmp_path: Path) -> None:
    """What breaks them is told."""
    store = Store(tmp_path / "store")
    config = store.put(b'{"architecture":"amd64","os":"linux","rootfs":{}}', oci_rules.CONFIG)
    layer = store.put(b"no tar", "text/plain")
    store.put_manifest(config=config, layers=[layer], reference="image")
    store.path(layer.digest).write_bytes(b"tampered")

    told = "\n".join(oci_rules.problems(store.root))

    for expected in ("missing, or not what", "'arm64' was expected", "'diff_ids' is a required"):
        assert expected in told


def cpuinfo(profile: Profile) -> str:
    """What the kernel of such a device says of its cores."""
    cpu = profile.cpu
    core = (
        "processor\t: {}\nBogoMIPS\t: 108.00\n"
        f"Features\t: {' '.join(cpu.features)}\n"
        f"CPU implementer\t: {cpu.implementer}\nCPU architecture: 8\n"
        f"CPU variant\t: 0x4\nCPU part\t: {cpu.part}\nCPU revision\t: 1\n\n"
    )
    return "".join(map(core.format, range(cpu.cores)))


def save_model(file: Path) -> None:
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    shape = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3]) for name in "xy"]
    weights = numpy_helper.from_array(2 * np.eye(3, dtype=np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "double", shape[:1], shape[1:], [weights])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(file))


def test_it_runs(
    root: Path, composed: Image, shared_store: Store, pi5: Profile, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo(pi5))
    save_model(root / "double.onnx")
    config = shared_store.read_json(composed.config.digest)["config"]

    seen = reported(
        *("timeout", "-k", "5", "200", "unshare", "-m", "sh", "-c", ENTER, "enter"),
        *(root, tmp_path / "cpuinfo", "env", "-i", *config["Env"], "chroot", root),
        *(config["Entrypoint"][0], "-c", INSIDE),
    )

    versions = {name: composed.contents[name] for name in ("numpy", "onnxruntime", "psutil")}
    assert seen.items() >= versions.items()
    assert seen["machine"] == "aarch64"
    assert seen["answer"] == [[2, 4, 6]]
    assert (seen["user"], seen["shell"], seen["compiled"]) == ("root", 3, 0)
    assert seen["certificates"] > 100
