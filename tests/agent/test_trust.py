"""Which keys, classes, versions and times a device accepts releases by."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from yardarm import signing
from yardarm_agent import trust
from yardarm_agent.layout import Layout
from yardarm_agent.trust import Signed
from yardarm_wire.problems import Invalid, NotVerified, Refusal

NOW = 1_800_000_000


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[signing.SigningKey]:
    folder = tmp_path_factory.mktemp("keys")
    return [signing.load_or_make(folder / name)[0] for name in ("mine", "other")]


@pytest.fixture
def device(layout: Layout, keys: list[signing.SigningKey]) -> Layout:
    trust.place(layout, keys[0].public)
    Path(layout.root, "device.json").write_text('{"class":"pi"}')
    return layout


def signed(key: signing.SigningKey, **changes: Any) -> Signed:
    release = {
        "schema": trust.SCHEMA, "project": "p", "device_classes": ["pi"],
        "version": 5, "signed_at": 5, "not_after": None,
    } | changes  # fmt: skip
    payload = json.dumps(release).encode()
    return Signed(payload, signing.sign(key, payload))


def test_the_first_key_is_placed_and_no_other(
    layout: Layout, keys: list[signing.SigningKey]
) -> None:
    assert trust.trusted(layout) == []
    assert trust.place(layout, keys[0].public + " comment\n")
    assert not trust.place(layout, keys[0].public), "the same key again is fine"
    with pytest.raises(Refusal, match="another signing key"):
        trust.place(layout, keys[1].public)
    assert len(trust.trusted(layout)) == 1


@pytest.mark.parametrize("line", ["", "ssh-ed25519 AAAA", "ssh-rsa AAAA x", "\ud800"])
def test_what_is_no_key_is_not_placed(layout: Layout, line: str) -> None:
    with pytest.raises(Invalid):
        trust.place(layout, line)
    assert list(Path(layout.trust).iterdir()) == []


def test_keys_that_an_operator_adds_count_and_broken_files_do_not(
    device: Layout, keys: list[signing.SigningKey]
) -> None:
    Path(device.trust, "second.pub").write_text(keys[1].public)
    Path(device.trust, "broken.pub").write_bytes(b"\xff\xfe nonsense")
    assert trust.accept(device, signed(keys[1]), False)["version"] == 5


def test_the_signature_is_checked_before_anything_is_parsed(
    device: Layout, keys: list[signing.SigningKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust.json, "loads", lambda _text: pytest.fail("was parsed"))
    for payload in (b"{not json", b"[" * 100_000, signed(keys[0]).payload):
        for signature in (b"nonsense", signing.sign(keys[1], payload), b""):
            with pytest.raises(NotVerified):
                trust.accept(device, Signed(payload, signature), False)


def test_without_a_key_nothing_is_accepted(layout: Layout, keys: list[signing.SigningKey]) -> None:
    with pytest.raises(NotVerified):
        trust.accept(layout, signed(keys[0]), True)


def test_a_signature_over_other_bytes_is_refused(
    device: Layout, keys: list[signing.SigningKey]
) -> None:
    good = signed(keys[0])
    with pytest.raises(NotVerified):
        trust.accept(device, Signed(good.payload + b" ", good.signature), False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": "yardarm.release/2"}, "unknown release schema"),
        ({"device_classes": ["jetson", "other"]}, "is for jetson, other, this device is pi"),
        ({"device_classes": []}, "this device is pi"),
    ],
)
def test_what_does_not_fit_is_refused(
    device: Layout, keys: list[signing.SigningKey], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refusal, match=words):
        trust.accept(device, signed(keys[0], **changes), True)


def test_an_older_version_is_refused_unless_asked_for(
    device: Layout, keys: list[signing.SigningKey]
) -> None:
    trust.raise_floor(device, {"project": "p", "version": 5, "signed_at": 5})
    trust.raise_floor(device, {"project": "p", "version": 3, "signed_at": 3})
    again = Layout(device.root)  # a reboot later
    assert trust.floors(again) == {"p": {"version": 5, "signed_at": 5}}
    assert trust.accept(again, signed(keys[0], version=5), False)
    with pytest.raises(Refusal, match="version 4 is older than 5"):
        trust.accept(again, signed(keys[0], version=4), False)
    assert trust.accept(again, signed(keys[0], version=4), True)["version"] == 4
    assert trust.accept(again, signed(keys[0], version=1, project="another"), False)


@pytest.mark.parametrize(
    ("clock", "signed_at", "expired"),
    [
        (NOW, 0, True),
        (NOW - 100, 0, False),
        (1000, 0, False),  # a clock that was never set can't tell: the floor alone decides
        (1000, NOW, True),  # but a release that was signed later tells that it is later
        (NOW - 100, NOW, True),  # and so it does when the clock was set back
    ],
)
def test_expiry_is_told_by_the_latest_credible_time(
    device: Layout,
    keys: list[signing.SigningKey],
    monkeypatch: pytest.MonkeyPatch,
    *,
    clock: int,
    signed_at: int,
    expired: bool,
) -> None:
    trust.raise_floor(device, {"project": "another", "version": 1, "signed_at": signed_at})
    monkeypatch.setattr(time, "time", lambda: float(clock))
    release = signed(keys[0], not_after=NOW - 50)
    if expired:
        with pytest.raises(Refusal, match="expired"):
            trust.accept(device, release, True)
    else:
        assert trust.accept(device, release, False)
