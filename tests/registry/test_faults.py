"""What goes wrong on the way, and what is left in the store then: nothing half-written."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from registry_fake import Fake, Reply
from registry_images import image
from registry_rig import Relay, free_port
from yardarm import registry
from yardarm.artifacts import MEDIA_MANIFEST
from yardarm.digest import canonical_json, of_bytes
from yardarm.errors import InvalidInput, Unreachable, Unsupported, VerificationFailed, YardarmError
from yardarm.events import Advanced
from yardarm.registry import Reference, transport, uploads
from yardarm.registry.answers import reason, retry_after
from yardarm.store import BlobWriter, Store

LAYER = bytes(range(256)) * 2000


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake() as found:
        yield found


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits are noted, and not waited for."""
    found: list[float] = []
    monkeypatch.setattr(transport.Transport, "wait", lambda _self, seconds: found.append(seconds))
    return found


def name(fake: Fake, tag: str = "1") -> Reference:
    return Reference.parse(f"{fake.address}/app:{tag}")


def pull(fake: Fake, store: Store, **options: Any) -> registry.Pulled:
    return registry.pull(name(fake), store, plain_http=True, **options)


def blobs(store: Store) -> list[str]:
    return [file.name for file in store.root.glob("blobs/sha256/*")]


def test_a_registry_that_is_down(store: Store, pauses: list[float]) -> None:
    with pytest.raises(Unreachable, match="refused"):
        registry.pull(Reference.parse(f"127.0.0.1:{free_port()}/app:1"), store)
    assert pauses == [0.25, 0.5, 1.0]


def test_a_cut_connection_goes_on_where_it_was(
    address: str, store: Store, pauses: list[float], tmp_path: Any
) -> None:
    made = image(store, 21, size=2_000_000)
    registry.push(made, store, Reference.parse(f"{address}/cut/down:1"))
    other = Store(tmp_path / "other")

    with Relay(address) as relay:
        relay.cuts, relay.down = 3, 500_000
        pulled = registry.pull(Reference.parse(f"{relay.address}/cut/down:1"), other)
        assert relay.cuts == 0

    assert other.read(pulled.layers[0].digest) == store.read(made.layers[0].digest)
    assert not list(other.root.rglob(".partial-*"))


@pytest.mark.parametrize("chunk", [100_000, 10_000_000], ids=["chunks", "whole"])
def test_a_cut_upload_goes_on(
    address: str, store: Store, pauses: list[float], monkeypatch: Any, chunk: int
) -> None:
    monkeypatch.setattr(uploads, "CHUNK", chunk)
    made = image(store, 22 + chunk, size=2_000_000)

    with Relay(address) as relay:
        relay.cuts, relay.up = 2, 700_000
        done = registry.push(made, store, Reference.parse(f"{relay.address}/cut/up-{chunk}:1"))
        assert relay.cuts == 0

    assert done.sent == made.config.size + made.layers[0].size
    assert registry.resolve(Reference.parse(f"{address}/cut/up-{chunk}:1")) == made.digest


def test_a_connection_that_always_breaks(fake: Fake, store: Store, pauses: list[float]) -> None:
    layer = fake.offer("1", LAYER)
    fake.replies[layer] = [Reply(200, b"", claimed=len(LAYER))]
    with pytest.raises(Unreachable, match="breaks each time"):
        pull(fake, store)
    assert of_bytes(LAYER)[7:] not in blobs(store)
    assert not list(store.root.rglob(".partial-*"))


def test_a_registry_without_ranges_begins_again(
    fake: Fake, store: Store, pauses: list[float]
) -> None:
    layer = fake.offer("1", LAYER)
    fake.replies[layer] = [Reply(200, LAYER[:1000], claimed=len(LAYER)), Reply(200, LAYER)]
    assert store.read(pull(fake, store).layers[0].digest) == LAYER
    assert [asked.headers.get("Range") for asked in fake.asked][-1] == "bytes=1000-"


def test_a_truncated_blob(fake: Fake, store: Store, pauses: list[float]) -> None:
    layer = fake.offer("1", LAYER)
    fake.replies[layer] = [Reply(200, LAYER[:1000]), Reply(416)]
    with pytest.raises(VerificationFailed, match="truncated: 1000 of 512000 bytes"):
        pull(fake, store)
    assert of_bytes(LAYER[:1000])[7:] not in blobs(store)


@pytest.mark.parametrize("sent", [bytes(len(LAYER)), LAYER + b"x"], ids=["other", "longer"])
def test_a_blob_that_is_another(fake: Fake, store: Store, sent: bytes) -> None:
    layer = fake.offer("1", LAYER)
    fake.replies[layer] = [Reply(200, sent)]
    with pytest.raises(VerificationFailed, match=r"not the one|larger than"):
        pull(fake, store)
    assert {of_bytes(sent)[7:], of_bytes(LAYER)[7:]}.isdisjoint(blobs(store))


def test_a_manifest_that_is_not_the_pinned_one(fake: Fake, store: Store) -> None:
    fake.offer("1", LAYER)
    pinned = of_bytes(b"another")
    fake.replies[f"GET /v2/app/manifests/{pinned}"] = fake.replies["GET /v2/app/manifests/1"]
    with pytest.raises(VerificationFailed, match="manifest is not the one"):
        pull(fake, store, digest=pinned)
    assert blobs(store) == []


def test_a_manifest_that_is_not_what_the_registry_calls_it(fake: Fake, store: Store) -> None:
    fake.offer("1", LAYER)
    fake.replies["GET /v2/app/manifests/1"][0].headers["Docker-Content-Digest"] = of_bytes(b"x")
    with pytest.raises(VerificationFailed, match="manifest is not the one"):
        pull(fake, store)


def test_a_pinned_image_that_is_there_needs_no_network(fake: Fake, store: Store) -> None:
    fake.offer("1", LAYER)
    first = pull(fake, store)
    fake.asked.clear()
    assert pull(fake, store, digest=first.digest) == first
    assert fake.asked == []


def test_another_architecture(fake: Fake, store: Store) -> None:
    fake.offer("1", LAYER, architecture="amd64")
    with pytest.raises(Unsupported, match="is for linux/amd64, not linux/arm64"):
        pull(fake, store)
    assert of_bytes(LAYER)[7:] not in blobs(store)


def test_an_index_without_ours(fake: Fake, store: Store) -> None:
    entry = fake.blob(b"{}", MEDIA_MANIFEST)
    platforms = [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm", "variant": "v7"},
        {"os": "unknown", "architecture": "unknown"},
    ]
    kind = "application/vnd.docker.distribution.manifest.list.v2+json"
    listed = [entry | {"platform": platform} for platform in platforms]
    body = {"schemaVersion": 2, "mediaType": kind, "manifests": listed}
    fake.manifest("1", canonical_json(body), kind)
    with pytest.raises(Unsupported, match="not there for linux/arm64") as caught:
        pull(fake, store)
    assert caught.value.hint == "it is there for linux/amd64, linux/arm/v7"


MANIFESTS = {
    "text": (b"hello", MEDIA_MANIFEST, InvalidInput, "not JSON"),
    "deep": (b"[" * 100_000, MEDIA_MANIFEST, InvalidInput, "not JSON"),
    "a list": (b"[]", MEDIA_MANIFEST, InvalidInput, "not a JSON object"),
    "no parts": (b"{}", MEDIA_MANIFEST, InvalidInput, "descriptors"),
    "huge": (b" " * (5 << 20), MEDIA_MANIFEST, InvalidInput, "larger than 4 MiB"),
    "a page": (b"<html>", "text/html", InvalidInput, "not JSON"),
    "docker's first": (
        b"{}",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        Unsupported,
        "v1.prettyjws",
    ),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_what_is_no_manifest(fake: Fake, store: Store, case: str) -> None:
    data, kind, error, said = MANIFESTS[case]
    fake.manifest("1", data, kind)
    with pytest.raises(error, match=said):
        pull(fake, store)
    assert blobs(store) == []


@pytest.mark.parametrize("member", ["digest", "size", "mediaType"])
def test_a_descriptor_that_is_none(fake: Fake, store: Store, member: str) -> None:
    layer = fake.blob(LAYER, MEDIA_MANIFEST) | {
        member: "../../etc/passwd" if member != "mediaType" else 7
    }
    body = {"schemaVersion": 2, "config": fake.blob(b"{}", "x"), "layers": [layer]}
    fake.manifest("1", canonical_json(body), MEDIA_MANIFEST)
    with pytest.raises(InvalidInput, match="descriptors"):
        pull(fake, store)


def test_a_layer_that_lies_elsewhere(fake: Fake, store: Store) -> None:
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    config = fake.blob(b"{}", "x")
    body = {"schemaVersion": 2, "config": config, "layers": [fake.blob(LAYER, foreign)]}
    fake.manifest("1", canonical_json(body), MEDIA_MANIFEST)
    with pytest.raises(Unsupported, match="foreign"):
        pull(fake, store)


def test_an_unknown_tag(address: str, store: Store) -> None:
    with pytest.raises(InvalidInput, match="no such image") as caught:
        registry.pull(Reference.parse(f"{address}/nothing/here:1"), store)
    assert caught.value.where == f"{address}/nothing/here:1"


def test_the_registrys_wait_is_obeyed(fake: Fake, store: Store, pauses: list[float]) -> None:
    fake.offer("1", LAYER)
    manifest = fake.replies["GET /v2/app/manifests/1"]
    fake.replies["GET /v2/app/manifests/1"] = [
        Reply(429, headers={"Retry-After": "7"}),
        Reply(503),
        *manifest,
    ]
    seen: list[Any] = []
    registry.pull(name(fake), store, seen.append, plain_http=True)
    assert pauses == [7.0, 0.5]
    assert any("asks to wait 7 s" in getattr(event, "text", "") for event in seen)


@pytest.mark.parametrize("wait", ["3600", "1"])
def test_too_many_requests(fake: Fake, store: Store, pauses: list[float], wait: str) -> None:
    fake.replies["GET /v2/app/manifests/1"] = [Reply(429, headers={"Retry-After": wait})]
    with pytest.raises(Unreachable, match="too many requests") as caught:
        pull(fake, store)
    assert f"{wait} s" in caught.value.hint
    assert len(pauses) == (0 if wait == "3600" else 3)


def test_a_registry_that_fails(fake: Fake, store: Store, pauses: list[float]) -> None:
    fake.replies["GET /v2/app/manifests/1"] = [Reply(500)]
    with pytest.raises(Unreachable, match="HTTP 500"):
        pull(fake, store)
    assert len(fake.asked) == 4


def test_a_redirect_to_another_host_does_not_take_the_password(
    fake: Fake, store: Store, log_in: Callable[[str, str, str], None]
) -> None:
    with Fake() as elsewhere:
        layer = fake.offer("1", LAYER)
        elsewhere.replies["GET /there"] = [Reply(200, LAYER)]
        fake.replies[layer] = [
            Reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'}),
            Reply(307, headers={"Location": f"http://{elsewhere.address}/there"}),
        ]
        log_in(fake.address, "ann", "secret")
        pull(fake, store)
        told = [asked.headers.get("Authorization") for asked in fake.asked][-1]
        assert told is not None and told.startswith("Basic ")
        assert [asked.headers.get("Authorization") for asked in elsewhere.asked] == [None]


def test_an_upload_to_another_host_does_not_take_the_password(
    fake: Fake, store: Store, log_in: Callable[[str, str, str], None]
) -> None:
    made = image(store, 23)
    with Fake() as elsewhere:
        log_in(fake.address, "ann", "secret")
        begun = Reply(202, headers={"Location": f"http://{elsewhere.address}/there"})
        closed = Reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        fake.replies["POST /v2/app/blobs/uploads/"] = [closed, begun]
        elsewhere.replies["PUT /there"] = [Reply(201)]
        fake.replies["PUT /v2/app/manifests/1"] = [Reply(201)]
        registry.push(made, store, name(fake), plain_http=True)
        assert all("Authorization" not in asked.headers for asked in elsewhere.asked)
        bodies = {of_bytes(asked.body) for asked in elsewhere.asked}
        assert bodies == {made.config.digest, made.layers[0].digest}
        assert "Authorization" in fake.asked[-1].headers


@pytest.mark.parametrize("target", ["http://example.com/x", "file:///etc/passwd", "ftp://a/b"])
def test_a_redirect_out_of_tls_is_refused(target: str) -> None:
    way = transport.Transport("example.com", ("https",))
    with pytest.raises(VerificationFailed, match="without TLS"):
        way._allowed("https://example.com/", target)


def test_a_proxy_is_used_for_others_than_this_machine(
    fake: Fake, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{fake.address}")
    monkeypatch.setenv("no_proxy", "near.test")
    with pytest.raises(InvalidInput, match="no such image"):
        registry.pull(Reference.parse("far.test/app:1"), store, plain_http=True)
    assert fake.paths() == ["http://far.test/v2/app/manifests/1"]
    fake.offer("1", LAYER)
    pull(fake, store)
    assert fake.paths()[1] == "/v2/app/manifests/1"


@pytest.mark.parametrize("target", ["http://[", "http://a:b/", "//"])
def test_a_redirect_to_nowhere(fake: Fake, store: Store, target: str, pauses: list[float]) -> None:
    fake.replies["GET /v2/app/manifests/1"] = [Reply(302, headers={"Location": target})]
    with pytest.raises(YardarmError):
        pull(fake, store)


def test_another_spelling_of_the_registry_is_the_registry() -> None:
    way = transport.Transport("example.com:443", ("https",))
    assert way._ours("https://EXAMPLE.com/v2/") and way._ours("https://example.com:443/x")
    for other in ("http://example.com/", "https://example.com:444/", "https://example.com.evil/"):
        assert not way._ours(other)


def test_a_manifest_that_is_cut_is_asked_for_again(
    fake: Fake, store: Store, pauses: list[float]
) -> None:
    fake.offer("1", LAYER)
    whole = fake.replies["GET /v2/app/manifests/1"][0]
    cut = Reply(200, whole.body[:50], whole.headers, claimed=len(whole.body))
    fake.replies["GET /v2/app/manifests/1"] = [cut, whole]
    assert pull(fake, store).digest == of_bytes(whole.body)
    fake.replies["GET /v2/app/manifests/1"] = [cut]
    with pytest.raises(Unreachable, match="breaks each time"):
        pull(fake, store)


def test_a_redirect_in_a_circle_ends(fake: Fake, store: Store) -> None:
    fake.replies["GET /v2/app/manifests/1"] = [Reply(302, headers={"Location": "1"})]
    with pytest.raises(Unreachable, match="redirects more than 5"):
        pull(fake, store)


def test_the_first_failure_ends_the_other_transfers(fake: Fake, store: Store) -> None:
    fake.offer("1", LAYER)
    config = fake.blob(canonical_json({"architecture": "arm64", "os": "linux"}), "x")
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    layers = [fake.blob(bytes([n]) * 100_000, kind) for n in range(12)]
    for layer in layers[3:]:
        fake.replies[f"GET /v2/app/blobs/{layer['digest']}"] = [Reply(403)]
    body = {"schemaVersion": 2, "config": config, "layers": layers}
    fake.manifest("1", canonical_json(body), MEDIA_MANIFEST)
    with pytest.raises(InvalidInput, match="HTTP 403"):
        pull(fake, store)
    assert len(fake.paths()) < 12
    assert not list(store.root.rglob(".partial-*"))


def test_an_interrupt_leaves_nothing(fake: Fake, store: Store) -> None:
    layer = fake.offer("1", LAYER)
    fake.replies[layer] = [Reply(200, LAYER[:1000], claimed=len(LAYER), stalls=True)]

    def interrupted(event: object) -> None:
        if isinstance(event, Advanced):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry.pull(name(fake), store, interrupted, plain_http=True)
    assert not list(store.root.rglob(".partial-*"))
    assert of_bytes(LAYER)[7:] not in blobs(store)


def test_a_full_disk_leaves_nothing(
    fake: Fake, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_writer: BlobWriter, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    layer = fake.blob(LAYER, "application/vnd.oci.image.layer.v1.tar+gzip")
    config = fake.blob(canonical_json({"architecture": "arm64", "os": "linux"}), "x")
    body = {"schemaVersion": 2, "config": config, "layers": [layer]}
    fake.manifest("1", canonical_json(body), MEDIA_MANIFEST)
    registry.pull(name(fake), store, layers=False, plain_http=True)
    monkeypatch.setattr(BlobWriter, "write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        pull(fake, store, digest=of_bytes(canonical_json(body)))
    assert caught.value.filename
    assert not list(store.root.rglob(".partial-*"))


@pytest.mark.parametrize("late", [0.0, 0.4], ids=["answered before", "answered after"])
def test_a_failure_does_not_wait_for_what_stalls(fake: Fake, store: Store, late: float) -> None:
    config = fake.blob(canonical_json({"architecture": "arm64", "os": "linux"}), "x")
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    stalling, forbidden = (fake.blob(text, kind) for text in (LAYER, b"another"))
    begun = time.monotonic()
    held = Reply(200, LAYER[:1000], claimed=len(LAYER), stalls=True, late=late)
    fake.replies[f"GET /v2/app/blobs/{stalling['digest']}"] = [held]
    fake.replies[f"GET /v2/app/blobs/{forbidden['digest']}"] = [Reply(403)]
    body = {"schemaVersion": 2, "config": config, "layers": [stalling, forbidden]}
    fake.manifest("1", canonical_json(body), MEDIA_MANIFEST)
    with pytest.raises(InvalidInput, match="HTTP 403"):
        pull(fake, store)
    assert time.monotonic() - begun < 50  # reading would time out after 60
    assert not list(store.root.rglob(".partial-*"))


def test_a_registrys_own_words() -> None:
    body = b'{"errors":[{"code":"DENIED","message":"no"},{"code":"TOOMANYREQUESTS"}]}'
    assert reason(body) == "DENIED: no; TOOMANYREQUESTS"
    for odd in (b"", b"<html>", b"[]", b'{"errors":3}', b'{"errors":[3]}'):
        assert reason(odd) == ""


def test_both_spellings_of_retry_after() -> None:
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after({"Retry-After": "12"}) == 12
    assert retry_after({"Retry-After": "Thu, 01 Jan 2026 12:00:30 GMT"}, now) == 30
    assert retry_after({"Retry-After": "Thu, 01 Jan 2026 11:00:00 GMT"}, now) == 0
    for odd in ("", "soon", "-5", "1.5"):
        assert retry_after({"Retry-After": odd}, now) is None
