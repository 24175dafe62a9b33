"""Who may release onto this device, and which versions it still takes."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Dict, List, NamedTuple

from yardarm_agent import sshsig
from yardarm_agent.layout import Layout
from yardarm_wire.files import FILES
from yardarm_wire.problems import Invalid, NotVerified, Refusal

NAMESPACE = "yardarm-release"
SCHEMA = "yardarm.release/1"
CREDIBLE = 1_700_000_000
"""A clock before this (November 2023) was never set; the version floor alone decides then."""


def trusted(layout: Layout) -> List[bytes]:
    """The key blobs in trust/*.pub."""
    keys = []
    for name in sorted(os.listdir(layout.trust)):
        if name.endswith(".pub"):
            path = os.path.join(layout.trust, name)
            with open(path, encoding="utf-8", errors="replace") as stream:
                key = sshsig.public_key(stream.read())
            keys += [key] if key else []
    return keys


def place(layout: Layout, line: str) -> bool:
    """Trust the first key that is offered. True when it was placed, False when it is known.

    Raises:
        Refusal: others are trusted already: only they may let a new one in.
    """
    key = sshsig.public_key(line)
    if key is None:
        raise Invalid("not an ssh-ed25519 public key")
    known = trusted(layout)
    if key in known:
        return False
    if known:
        raise Refusal(
            "the device trusts another signing key",
            layout.trust,
            "sign with that key ($YARDARM_SIGNING_KEY), or remove trust/*.pub on the device",
        )
    FILES.write(os.path.join(layout.trust, "release.pub"), line.strip().encode() + b"\n")
    return True


def device_class(layout: Layout) -> "str | None":
    try:
        with open(os.path.join(layout.root, "device.json"), "rb") as stream:
            name: str = json.load(stream)["class"]
    except FileNotFoundError:
        return None
    return name


class Signed(NamedTuple):
    """A release manifest as it was signed, and the armored SSHSIG over it."""

    payload: bytes
    signature: bytes


def accept(layout: Layout, signed: Signed, allow_downgrade: bool) -> Dict[str, Any]:
    """A release manifest, parsed after its signature and by this device's rules.

    Raises:
        NotVerified: the signature is not one of a trusted key over these bytes.
        Refusal: another device class, an older version, or it has expired.
    """
    if not sshsig.verify(signed.payload, signed.signature, NAMESPACE, trusted(layout)):
        raise NotVerified("the release's signature is not one of a trusted key")
    release: Dict[str, Any] = json.loads(signed.payload.decode())
    if release.get("schema") != SCHEMA:
        raise Refusal("unknown release schema %.40r" % (release.get("schema"),))
    _check_class(layout, release)
    if not allow_downgrade:
        _check_version(layout, release)
    _check_time(layout, release)
    return release


def _check_class(layout: Layout, release: Dict[str, Any]) -> None:
    mine = device_class(layout)
    if mine not in release["device_classes"]:
        wanted = ", ".join(release["device_classes"])
        raise Refusal("the release is for %s, this device is %s" % (wanted, mine or "of no class"))


def _check_version(layout: Layout, release: Dict[str, Any]) -> None:
    floor = floors(layout).get(release["project"], {"version": 0})["version"]
    if release["version"] < floor:
        raise Refusal(
            "version %d is older than %d, which ran here" % (release["version"], floor),
            release["project"],
            "deploy the newest release, or ask for the older one by name",
        )


def _check_time(layout: Layout, release: Dict[str, Any]) -> None:
    latest = max([floor["signed_at"] for floor in floors(layout).values()] or [0])
    now = max(time.time(), latest)
    limit = release.get("not_after")
    if limit is not None and now >= CREDIBLE and now > limit:
        raise Refusal("the release has expired", release["project"], "sign a new one")


def floors(layout: Layout) -> Dict[str, Any]:
    """Per project the highest version that was active, and when it was signed."""
    try:
        with open(os.path.join(layout.trust, "floor.json"), "rb") as stream:
            body: Dict[str, Any] = json.load(stream)
    except FileNotFoundError:
        return {}
    return body


def raise_floor(layout: Layout, release: Dict[str, Any]) -> None:
    """Remember a release that has proven itself: an older one is not taken any more."""
    known = floors(layout)
    before = known.get(release["project"], {"version": 0, "signed_at": 0})
    known[release["project"]] = {
        "version": max(before["version"], release["version"]),
        "signed_at": max(before["signed_at"], release["signed_at"]),
    }
    FILES.write(os.path.join(layout.trust, "floor.json"), json.dumps(known).encode())
