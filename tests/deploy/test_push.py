"""What a push plans and sends: pure plans, and a transfer that was cut off."""

from __future__ import annotations

import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_rig import Rig
from lab_fixtures import on
from yardarm import deploy
from yardarm.artifacts import MEDIA_OCTETS
from yardarm.deploy.plan import plan
from yardarm.deploy.transfer import CHUNK, encode
from yardarm.digest import of_bytes
from yardarm.errors import VerificationFailed
from yardarm.events import silent


@given(st.lists(st.tuples(st.integers(0, 1000), st.booleans(), st.integers(0, 2000))))
def test_a_plan_sends_what_is_missing(blobs: list[tuple[int, bool, int]]) -> None:
    needed = {of_bytes(str(n).encode()): size for n, (size, _, _) in enumerate(blobs)}
    there = {
        digest: {"complete": complete, "offset": offset}
        for digest, (_, complete, offset) in zip(needed, blobs, strict=True)
    }
    made = plan(needed, there)
    assert {item.digest for item in made.transfers} | set(made.present) == set(needed)
    assert not {item.digest for item in made.transfers} & set(made.present)
    assert made.total == sum(needed.values())
    assert all(0 <= item.offset <= item.size for item in made.transfers)
    assert [item.size for item in made.transfers] == sorted(item.size for item in made.transfers)


@given(st.binary(max_size=5000), st.booleans())
def test_a_chunk_is_sent_as_it_is_cheaper(data: bytes, repeated: bool) -> None:
    content = data * 50 if repeated else data
    encoding, payload = encode(content)
    assert (zlib.decompress(payload) if encoding == "zlib" else payload) == content
    assert len(payload) <= len(content)


def test_incompressible_bytes_go_as_they_are() -> None:
    data = os.urandom(CHUNK)
    assert encode(data) == ("raw", data)


@pytest.mark.root
def test_a_transfer_that_was_cut_off_goes_on(rig: Rig) -> None:
    blob = rig.store.put(os.urandom(3 * CHUNK + 17), MEDIA_OCTETS)
    whole = rig.store.read(blob.digest)
    with rig.session() as session:
        header = {"digest": blob.digest, "size": blob.size, "offset": 0, "encoding": "raw"}
        session.request("put", whole[:CHUNK], **header)
    with rig.session() as session:
        planned = deploy.survey(session, {blob.digest: blob.size})
        assert [item.offset for item in planned.transfers] == [CHUNK]
        deploy.transfer(session, rig.store, planned, silent)
    stored = f"/var/lib/yardarm/store/blobs/sha256/{blob.digest.removeprefix('sha256:')}"
    assert on(rig.address, f"sha256sum {stored}").split()[0] == blob.digest.removeprefix("sha256:")


@pytest.mark.root
def test_bytes_that_were_damaged_on_the_device_are_sent_again(rig: Rig) -> None:
    """The partial blob isn't what was sent: found at its end, and mended by the next push."""
    blob = rig.store.put(os.urandom(CHUNK + 99), MEDIA_OCTETS)
    partial = f"/var/lib/yardarm/store/incoming/{blob.digest.removeprefix('sha256:')}"
    with rig.session() as session:
        on(rig.address, f"head -c 1000 /dev/zero > {partial}")
        planned = deploy.survey(session, {blob.digest: blob.size})
        with pytest.raises(VerificationFailed, match="not those of the digest"):
            deploy.transfer(session, rig.store, planned, silent)
        planned = deploy.survey(session, {blob.digest: blob.size})
        assert [item.offset for item in planned.transfers] == [0]
        deploy.transfer(session, rig.store, planned, silent)


@pytest.mark.root
@pytest.mark.parametrize("damage", ["changed", "shorter", "longer", "gone"])
def test_a_damaged_blob_of_the_store_is_removed(rig: Rig, damage: str) -> None:
    """The bytes on disk are no longer those of their name: said, and not sent for ever."""
    whole = os.urandom(CHUNK + 99)
    blob = rig.store.put(whole, MEDIA_OCTETS)
    file = rig.store.path(blob.digest)
    parts = {"changed": bytes(9) + whole[9:], "shorter": whole[:-9], "longer": whole + bytes(9)}
    with rig.session() as session:
        planned = deploy.survey(session, {blob.digest: blob.size})
        if damage == "gone":
            file.unlink()
        else:
            file.write_bytes(parts[damage])
        with pytest.raises(VerificationFailed, match="damaged, and is removed") as failed:
            deploy.transfer(session, rig.store, planned, silent)
    assert failed.value.where == str(file) and "run again" in failed.value.hint
    assert not file.exists()
    assert rig.store.put(whole, MEDIA_OCTETS).digest == blob.digest
    with rig.session() as session:
        deploy.transfer(
            session,
            rig.store,
            deploy.survey(session, {blob.digest: blob.size}),
            silent,
        )
