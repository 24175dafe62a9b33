"""An engine built in a real chroot on an emulated arm64 system, fetched and handed back over
real SSH. No TensorRT runs there: a stand-in answers the runtime's verbs."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator

import pytest

import tiny
from deploy_rig import PROFILE, Rig
from lab_fixtures import on
from yardarm import deploy, image, profiles
from yardarm.artifacts import MEDIA_OCTETS, TITLE, Release
from yardarm.deploy import engines, supply
from yardarm.digest import canonical_json
from yardarm.errors import VerificationFailed
from yardarm.events import silent
from yardarm.flow import engine as flow
from yardarm.image import Layer, entries
from yardarm.image.layer import store_layer
from yardarm.image.wheels import LIBRARY
from yardarm.lockfile import Lock

pytestmark = pytest.mark.root

MAIN = f"{LIBRARY}/yardarm_runtime/__main__.py"
FOLDER = "/var/lib/yardarm/engines"

STAND_IN = b"""
import json, os, sys
from yardarm_wire import engines
from yardarm_wire.files import FILES

def option(name):
    return sys.argv[sys.argv.index(name) + 1]

def key():
    device = json.load(open(option("--device")))
    manifest = json.load(open(option("--bundle") + "/manifest.json"))
    options = engines.of_bytes(engines.canonical(manifest["tensorrt"]))
    model = engines.of_file(option("--bundle") + "/model.onnx")
    return engines.Key(model, "10.3.0", 87, device["module"], device["power_mode"], options)

folder = engines.folder(option("--engines"), key())
if sys.argv[1] == "key":
    print(json.dumps({"key": key().to_json(), "present": os.path.isdir(folder)}))
elif sys.argv[1] == "build":
    plan = os.urandom(3000000)
    print(json.dumps({"phase": "build", "done": 1, "total": 2}), flush=True)
    os.mkdir(folder)
    FILES.write(folder + "/engine.plan", plan)
    record = engines.Record(key(), engines.of_bytes(plan), len(plan))
    FILES.write(folder + "/engine.json", engines.canonical(record.to_json()))
    print(json.dumps({"engine": record.to_json(), "cached": False, "built_s": 1.5}))
else:
    record = engines.Record.parse(open(folder + "/engine.json", "rb").read())
    assert engines.of_file(folder + "/engine.plan") == record.engine
    try:
        open(option("--engines") + "/mine", "w")
    except OSError as error:
        golden = {"ok": True, "outputs": {}, "denied": str(error), "engine": record.engine}
        print(json.dumps(golden))
"""


@pytest.fixture
def release(rig: Rig, first: Release) -> Iterator[Release]:
    """A release of the stand-in, whose image lies unpacked beside the first one's, as an agent
    did it that knew of no engines. What it left on the device is removed."""
    made = image.layers(image.Spec(), profiles.load(PROFILE), rig.store, lock=Lock())
    code = [entries.file(MAIN, STAND_IN)]
    layer = Layer("stand-in", store_layer(code, rig.store), {"stand-in": "1"}, False)
    composed = image.assemble(dataclasses.replace(made, parts=(*made.parts, layer)), rig.store)
    old, new = (
        f"/var/lib/yardarm/images/{made.config.digest.removeprefix('sha256:')}"
        for made in (first.image, composed)
    )
    text = base64.b64encode(STAND_IN).decode()
    on(
        rig.address,
        f"cp -al {old} {new} && rmdir {new}/engines && rm {new}/{MAIN} && "
        f"echo {text} | base64 -d > {new}/{MAIN}",
    )
    plain = tiny.bundle(rig.store)
    manifest = {**plain.manifest, "target": "tensorrt", "tensorrt": {"version": "10.3"}}
    blob = rig.store.put(canonical_json(manifest), MEDIA_OCTETS, {TITLE: "manifest.json"})
    bundle = dataclasses.replace(
        plain, manifest=manifest, blobs={**plain.blobs, "manifest.json": blob}
    )
    yield dataclasses.replace(rig, image=composed).release(bundle)
    on(rig.address, f"rm -rf {FOLDER}/* {new}")


def test_an_engine_travels_from_a_device_to_its_like(
    rig: Rig, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YARDARM_SIGNING_KEY", str(rig.key.file))
    with rig.session() as session:
        deploy.push(session, release, rig.store, silent)
        assert deploy.rollout._prepare(session, release, silent, True) is None, "an engine first"
        built = supply.supply(session, release, rig.store, silent)
        assert built is not None and (built.how, built.seconds) == (supply.BUILT, 1.5)
        golden = deploy.rollout._prepare(session, release, silent, True)
        assert golden is not None and built.record is not None
        assert golden["engine"] == built.record.engine
        assert "Read-only file system" in golden["denied"], "only a build may write there"
        kept = flow.fetch(session, release, rig.store, silent).attachment
        assert kept.record == built.record

        on(rig.address, f"rm -r {FOLDER}/*")  # now it is the next device of the same kind
        handed = supply.supply(session, release, rig.store, silent)
        assert handed is not None and handed.how == supply.HANDED_OVER
        assert on(rig.address, f"cat {FOLDER}/*/attachment.sig").encode() == kept.signature
        again = deploy.rollout._prepare(session, release, silent, True)
        assert again is not None and again["engine"] == kept.record.engine

        other = kept.record._replace(key=kept.record.key._replace(power_mode="MAXN"))
        forged = engines.keep(rig.store, release.bundles["main"], other, kept.plan, rig.key)
        with pytest.raises(VerificationFailed, match="not one of a trusted key"):
            session.request(
                "place_engine",
                forged.payload,
                digest=release.digest,
                signature=kept.signature.decode(),
            )
