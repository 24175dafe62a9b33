"""Images on bases that somebody else made: kept byte for byte, or refused."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import pytest

import foreign_bases as bases
from foreign_bases import entry, file, python, tar
from yardarm import image, profiles
from yardarm.artifacts import Image
from yardarm.errors import InvalidInput, Unsupported, VerificationFailed, YardarmError
from yardarm.image import Spec, foundation, members
from yardarm.image.attachments import attach
from yardarm.image.making import Maker
from yardarm.image.provenance import Origin
from yardarm.lockfile import Lock
from yardarm.profiles import Profile
from yardarm.store import Store
from yardarm_agent.unpack import unpack

CONFIG = {
    "variant": "v8",
    "author": "somebody",
    "config": {
        "Env": ["PATH=/opt/cuda/bin:/usr/bin", "LANG=C", "PYTHONPATH=/opt/theirs", "THEIRS=1"],
        "Entrypoint": ["/bin/theirs"],
        "Labels": {"theirs": "yes"},
        "StopSignal": "SIGINT",
        "User": "root",
    },
    "history": [
        {"created_by": "one"},
        {"created_by": "env", "empty_layer": True},
        {"created_by": "two"},
    ],
}


def lay(tmp_path: Path, profile: Profile, lock: Lock = Lock(), **changes: object):  # noqa: B008
    spec = Spec(**{"base": "oci:base", "root": tmp_path} | changes)
    return foundation.lay(spec, profile, Maker(Store(tmp_path / "store"), lambda _: None), lock)


@pytest.mark.root
def test_layers_stay_as_they_are_and_ours_lie_over_them(
    lock: Lock, pi5: Profile, tmp_path: Path
) -> None:
    layers = [tar(python()), tar([file("opt/theirs/x.py")])]
    bases.layout(tmp_path / "base", layers, **CONFIG)
    store = Store(tmp_path / "store")

    made = image.layers(Spec(base="oci:base:latest", root=tmp_path), pi5, store, lock=lock)
    found = image.assemble(made, store)

    manifest, config = store.read_json(found.digest), store.read_json(found.config.digest)
    assert [part.name for part in made.parts] == ["base", "base", "system", "wheels", "runtime"]
    packed = [gzip.compress(each, mtime=0) for each in layers]
    assert [each["digest"] for each in manifest["layers"][:2]] == list(map(bases.digest, packed))
    assert manifest["layers"][0]["mediaType"].endswith(".tar+gzip")
    own = [each["digest"] for each in manifest["layers"][2:]]
    assert config["rootfs"]["diff_ids"] == [*map(bases.digest, layers), *own]
    told = [each["created_by"] for each in config["history"]]
    assert told[:3] == ["one", "env", "two"]
    assert told[3:] == [f"yardarm image: {name}" for name in ("system", "wheels", "runtime")]
    assert config["author"] == "somebody"
    started = config["config"]
    assert {"THEIRS=1", "LANG=C.UTF-8", "PATH=/opt/cuda/bin:/usr/bin"} <= {*started["Env"]}
    assert "PYTHONPATH=/opt/yardarm/lib:/opt/theirs" in started["Env"]
    assert started["Entrypoint"] == ["/usr/bin/python3", "-m", "yardarm_runtime"]
    assert (started["User"], started["StopSignal"]) == ("10001:10001", "SIGINT")
    assert {"theirs", "yardarm.version"} <= {*started["Labels"]}
    assert {"libc6", "numpy", "yardarm_runtime"} <= {*found.contents}
    index = json.loads((tmp_path / "base/index.json").read_text())
    assert made.lock.bases == {"oci:base:latest": index["manifests"][0]["digest"]}
    assert made.lock.wheels == lock.wheels

    unpack(
        [str(store.path(each.digest)) for each in found.layers], str(tmp_path / "root"), lambda _: 0
    )
    assert (tmp_path / "root/bin/python3").resolve().name == "python3.11"
    assert "yardarm:x:10001" in (tmp_path / "root/etc/passwd").read_text()
    assert (tmp_path / "root/etc/passwd").read_text().startswith("root:")


def test_dockers_archive_gives_the_same_layers(pi5: Profile, tmp_path: Path) -> None:
    layers = [tar(python()), tar([file("opt/x")])]
    bases.docker(tmp_path / "base.tar", layers)
    (tmp_path / "packed.tar").write_bytes(gzip.compress((tmp_path / "base.tar").read_bytes()))

    for name in ("base.tar", "packed.tar"):
        found = lay(tmp_path, pi5, base=f"archive:{name}")
        ids = [bases.digest(each) for each in (*layers, layers[-1])]
        assert [part.blob.digest for part in found.layers[:-1]] == ids
        assert list(found.lock.bases) == [f"archive:{name}"]


@pytest.mark.root
def test_our_own_archive_is_a_base(
    made: image.Layers, composed: Image, shared_store: Store, pi5: Profile, tmp_path: Path
) -> None:
    origin = Origin("base", made.spec, pi5, made.lock)
    notes = attach(composed, origin, shared_store, key=None)
    file = tmp_path / "base.tar"
    image.save(composed, shared_store, file, name="base:1", attachments=notes)

    found = lay(tmp_path, pi5, base="archive:base.tar")

    assert [part.blob.digest for part in found.layers[:-1]] == [b.digest for b in composed.layers]
    assert found.lock.bases == {"archive:base.tar": composed.digest}


def test_packages_and_python_are_the_bases(pi5: Profile, tmp_path: Path) -> None:
    """Whiteouts hide what lower layers have."""
    own = entry("usr/local/bin/python3", tarfile.SYMTYPE, "../../bin/python3.12")
    lower = [*python("3.9"), file("usr/bin/python3.12", "other"), own]
    upper = [file("usr/local/bin/.wh.python3", ""), file("var/lib/dpkg/.wh..wh..opq", "")]
    bases.layout(tmp_path / "base", [tar(lower), tar(upper)])

    found = lay(tmp_path, pi5)

    assert (found.python, found.profile.os.python) == ("/usr/bin/python3", "3.9")
    assert found.layers[1].contents == {}
    bases.layout(tmp_path / "base", [tar(lower)])
    found = lay(tmp_path, pi5)
    assert (found.python, found.profile.os.python) == ("/usr/local/bin/python3", "3.12")
    assert found.layers[0].contents == {"libc6": "2.36-9+deb12u10"}


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (file("/etc/passwd"), "an absolute path"),
        (file("usr/../../etc/passwd"), "a path that leaves the root"),
        (entry("usr/out", tarfile.SYMTYPE, "../../etc"), "a link that leaves the root"),
        (entry("out", tarfile.LNKTYPE, "../etc/passwd"), "a hard link that leaves the root"),
        (entry("out", tarfile.LNKTYPE, "/etc/passwd"), "a hard link that leaves the root"),
        (entry("dev/null", tarfile.CHRTYPE), "a device node or pipe"),
        (entry("dev/sda", tarfile.BLKTYPE), "a device node or pipe"),
        (entry("pipe", tarfile.FIFOTYPE), "a device node or pipe"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_harm_is_refused_by_its_name(
    pi5: Profile, tmp_path: Path, harm: bases.Member, says: str
) -> None:
    bases.layout(tmp_path / "base", [tar(python()), tar([file("before"), harm])])
    with pytest.raises(InvalidInput, match=says) as refused:
        lay(tmp_path, pi5)
    assert harm[0].name in refused.value.where

    (tmp_path / "base.tar").write_bytes(tar([file("before"), harm]))
    with pytest.raises(InvalidInput, match=says) as refused:
        lay(tmp_path, pi5, base="archive:base.tar")
    assert harm[0].name in refused.value.where


def test_a_huge_member_is_refused_before_it_is_read(pi5: Profile, tmp_path: Path) -> None:
    info = tarfile.TarInfo("usr/huge")
    info.size = members.LARGEST + 1
    bases.layout(tmp_path / "base", [info.tobuf(tarfile.GNU_FORMAT)])
    with pytest.raises(InvalidInput, match=f"a member of {info.size} bytes"):
        lay(tmp_path, pi5)


def test_a_huge_header_is_refused_before_it_is_read(pi5: Profile, tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    bases.layout(tmp_path / "base", [info.tobuf(tarfile.USTAR_FORMAT)])
    with pytest.raises(InvalidInput, match="a header of 1073741824 bytes"):
        lay(tmp_path, pi5)


def test_an_endless_layer_is_refused(
    pi5: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "WHOLE", 1 << 20)
    bases.layout(tmp_path / "base", [tar([file("zeros", bytes(2 << 20))])])
    with pytest.raises(InvalidInput, match="a layer of more than"):
        lay(tmp_path, pi5)


def damaged(tmp_path: Path, number: int, change) -> None:
    """Change the layer's blob, and all names after it."""
    root = bases.layout(tmp_path / "base", [tar(python())])
    index = json.loads((root / "index.json").read_text())
    place = root / "blobs" / index["manifests"][0]["digest"].replace(":", "/")
    manifest = json.loads(place.read_text())
    blob = root / "blobs" / manifest["layers"][0]["digest"].replace(":", "/")
    data = change(blob.read_bytes())
    if number == 0:
        blob.write_bytes(data)
        return
    (blob.parent / bases.digest(data)[7:]).write_bytes(data)
    manifest["layers"][0] |= {"digest": bases.digest(data), "size": len(data)}
    text = json.dumps(manifest).encode()
    (blob.parent / bases.digest(text)[7:]).write_bytes(text)
    index["manifests"][0] |= {"digest": bases.digest(text), "size": len(text)}
    (root / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("how", "kind", "says"),
    [
        (
            (0, lambda data: data[:-1] + b"x"),
            VerificationFailed,
            "a blob is not what its name says",
        ),
        ((1, lambda data: data[:-20]), VerificationFailed, "damaged"),
        ((1, lambda _: gzip.compress(tar([file("other")]))), VerificationFailed, "its config says"),
        ((1, lambda data: b"\x28\xb5\x2f\xfd" + data), Unsupported, "zstd"),
        ((1, lambda _: b"no tar at all"), VerificationFailed, "damaged"),
    ],
    ids=["changed", "truncated", "another", "zstd", "rubbish"],
)
def test_a_damaged_layer(
    pi5: Profile, tmp_path: Path, how: tuple, kind: type[YardarmError], says: str
) -> None:
    damaged(tmp_path, *how)
    with pytest.raises(kind, match=says):
        lay(tmp_path, pi5)


@pytest.mark.parametrize(
    ("layers", "config", "says"),
    [
        ([python()], {"architecture": "amd64"}, "is for linux/amd64, not linux/arm64"),
        ([python()], {"variant": "v9"}, "is for linux/arm64/v9"),
        ([[file("etc/passwd")]], {}, "has no python3"),
        ([python("3.7")], {}, "Python 3.7"),
        ([[*python(), file("lib/ld-musl-aarch64.so.1")]], {}, "musl"),
    ],
    ids=["amd64", "v9", "no-python", "old", "musl"],
)
def test_a_base_that_fits_no_device(
    pi5: Profile, tmp_path: Path, layers: list, config: dict, says: str
) -> None:
    bases.layout(tmp_path / "base", [tar(each) for each in layers], **config)
    with pytest.raises(Unsupported, match=says):
        lay(tmp_path, pi5)


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("oci:nowhere", "there is no OCI layout"),
        ("oci:base:v2", "there is no image v2"),
        ("archive:nowhere", "there is no such archive"),
        ("archive:empty", "damaged"),
        ("archive:other", "neither|lacks"),
    ],
)
def test_a_base_that_is_not_there(pi5: Profile, tmp_path: Path, base: str, says: str) -> None:
    bases.layout(tmp_path / "base", [tar(python())])
    (tmp_path / "empty").write_bytes(b"nothing")
    (tmp_path / "other").write_bytes(tar([file("x")]))
    with pytest.raises(YardarmError, match=says):
        lay(tmp_path, pi5, base=base)


def test_another_base_than_the_lock_has(pi5: Profile, tmp_path: Path) -> None:
    bases.layout(tmp_path / "base", [tar(python())])
    before = lay(tmp_path, pi5).lock
    bases.layout(tmp_path / "base", [tar([*python(), file("new")])])
    with pytest.raises(InvalidInput, match="and the lock has") as refused:
        lay(tmp_path, pi5, before)
    assert "yardarm.lock" in refused.value.hint


def test_debian_packages_need_a_debian_base(pi5: Profile, tmp_path: Path) -> None:
    layer = [each for each in python() if each[0].name != "usr/lib/os-release"]
    bases.layout(tmp_path / "base", [tar([*layer, file("etc/os-release", "ID=ubuntu\n")])])
    with pytest.raises(Unsupported, match="this is ubuntu"):
        lay(tmp_path, pi5, packages=("libgomp1",))


def jetson_base(tmp_path: Path, version: str = "3.10", *, tensorrt: bool = True) -> None:
    module = "usr/lib/python3.10/dist-packages/tensorrt/__init__.py"
    layer = [*python(version), *([file(module)] if tensorrt else [])]
    bases.layout(tmp_path / "base", [tar(layer)])


def test_a_jetson_lies_on_its_base(tmp_path: Path) -> None:
    jetson_base(tmp_path)
    found = lay(tmp_path, profiles.load("jetson-orin-nx-16gb"))
    assert found.user == "10001:44"
    assert found.environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert found.layers[-1].warnings == ()


def test_a_base_without_tensorrt_is_told(tmp_path: Path) -> None:
    jetson_base(tmp_path, tensorrt=False)
    (told,) = lay(tmp_path, profiles.load("jetson-orin-nx-16gb")).layers[-1].warnings
    assert "no module tensorrt" in told


def test_a_jetson_base_of_another_jetpack(tmp_path: Path) -> None:
    jetson_base(tmp_path, "3.8")
    with pytest.raises(Unsupported, match=r"has Python 3\.8, and this JetPack's is 3\.10"):
        lay(tmp_path, profiles.load("jetson-orin-nx-16gb"))
