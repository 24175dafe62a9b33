from __future__ import annotations

import json

import pytest

from yardarm_wire import engines
from yardarm_wire.engines import Key, Record

MODEL, OPTIONS = "sha256:" + "a" * 64, "sha256:" + "b" * 64
KEY = Key(MODEL, "10.3.0", 87, "NVIDIA Jetson Orin NX Engineering Reference", "15W", OPTIONS)
OTHER = {
    "model": "sha256:" + "c" * 64,
    "tensorrt": "8.5.2",
    "sm": 72,
    "module": "",
    "power_mode": "MAXN",
    "options": "sha256:" + "d" * 64,
}


def test_keys_and_records_are_what_was_written():
    assert Key.from_json(json.loads(json.dumps(KEY.to_json()))) == KEY
    record = Record(KEY, "sha256:" + "e" * 64, 17)
    assert Record.parse(engines.canonical(record.to_json())) == record
    assert record.to_json()["schema"] == "yardarm.engine/1"


def test_every_part_of_a_key_names_another_engine():
    digests = {KEY.digest()} | {
        KEY._replace(**{name: value}).digest() for name, value in OTHER.items()
    }
    assert len(digests) == 1 + len(Key._fields)
    assert engines.folder("/e", KEY) == "/e/" + KEY.digest().removeprefix("sha256:")


def test_the_digest_is_the_same_on_every_machine():
    """Host, agent and runtime compute it: a change here orphans every engine built so far."""
    assert KEY.digest() == engines.of_bytes(
        b'{"model":"%s","module":"NVIDIA Jetson Orin NX Engineering Reference",'
        b'"options":"%s","power_mode":"15W","sm":87,"tensorrt":"10.3.0"}'
        % (MODEL.encode(), OPTIONS.encode())
    )


def test_differences_are_told_in_sentences():
    assert KEY.differences(KEY) == []
    assert KEY.differences(KEY._replace(power_mode="MAXN")) == [
        "power mode: built in MAXN, this device is in 15W"
    ]
    told = KEY.differences(KEY._replace(**OTHER))
    assert len(told) == len(Key._fields)
    assert told[1] == "TensorRT: built with 8.5.2, this device has 10.3.0"
    assert told[3].startswith("module: built on an unknown one")


@pytest.mark.parametrize(
    "change",
    [
        {"sm": "87"},
        {"sm": True},
        {"power_mode": None},
        {"model": "sha256:" + "A" * 64},
        {"options": "../../etc"},
        {"more": 1},
    ],
)
def test_what_is_no_key_is_refused(change):
    with pytest.raises(ValueError, match=r"key|digest"):
        Key.from_json({**KEY.to_json(), **change})


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff", b"[]", b"{}", b"[" * 100_000, b'{"schema":"yardarm.engine/1"}'],
)
def test_what_is_no_record_is_refused(text):
    with pytest.raises(ValueError):
        Record.parse(text)


@pytest.mark.parametrize("change", [{"size": -1}, {"size": 1.5}, {"engine": "x"}, {"schema": "y"}])
def test_records_are_checked(change):
    body = {**Record(KEY, MODEL, 1).to_json(), **change}
    with pytest.raises(ValueError):
        Record.from_json(body)
