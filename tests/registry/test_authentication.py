"""Who we are to a registry: a real one with htpasswd, and a stand-in that sells tokens."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import registry_rig
from registry_fake import Fake, Reply
from registry_images import image, skopeo
from registry_rig import PASSWORD, USER
from yardarm import registry
from yardarm.digest import canonical_json
from yardarm.errors import InvalidInput, VerificationFailed, YardarmError
from yardarm.registry import Reference
from yardarm.registry.authentication import Challenge, challenges
from yardarm.registry.credentials import Credentials, find
from yardarm.registry.insecure import schemes
from yardarm.store import Store

LogIn = Callable[[str, str, str], None]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that lets one user in."""
    with registry_rig.registry(tmp_path_factory.mktemp("guarded"), users=True) as found:
        yield found


def test_the_right_password_opens_it(
    guarded: str, store: Store, log_in: LogIn, tmp_path: Path
) -> None:
    log_in(guarded, USER, PASSWORD)
    made, name = image(store, 31), Reference.parse(f"{guarded}/app:1")

    registry.push(made, store, name)

    assert registry.pull(name, Store(tmp_path / "other")).digest == made.digest


def test_what_skopeo_logged_in_to_is_open(
    guarded: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "auth.json"
    who = ("--username", USER, "--password", PASSWORD)
    skopeo("login", "--authfile", file, "--tls-verify=false", *who, guarded)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))

    made, name = image(store, 34), Reference.parse(f"{guarded}/skopeo:1")
    registry.push(made, store, name)

    seen = skopeo("inspect", "--authfile", file, "--tls-verify=false", f"docker://{name}")
    assert json.loads(seen)["Digest"] == made.digest


def test_a_wrong_password_does_not(guarded: str, store: Store, log_in: LogIn) -> None:
    log_in(guarded, USER, "wrong")
    with pytest.raises(InvalidInput, match=f"refuses the credentials of {USER}") as caught:
        registry.pull(Reference.parse(f"{guarded}/app:1"), store)
    assert f"docker login {guarded}" in caught.value.hint
    assert "wrong" not in str(caught.value)


def test_a_greeting_tells_who_is_let_in(guarded: str, address: str, log_in: LogIn) -> None:
    registry.expect_welcome(Reference.parse(f"{address}/app:1"))
    with pytest.raises(InvalidInput, match="who we are"):
        registry.expect_welcome(Reference.parse(f"{guarded}/app:1"))
    log_in(guarded, USER, "wrong")
    with pytest.raises(InvalidInput, match="refuses the credentials"):
        registry.expect_welcome(Reference.parse(f"{guarded}/app:1"))
    log_in(guarded, USER, PASSWORD)
    registry.expect_welcome(Reference.parse(f"{guarded}/app:1"))


def test_none_does_not(guarded: str, store: Store) -> None:
    with pytest.raises(InvalidInput, match="wants to know who we are") as caught:
        registry.push(image(store, 32), store, Reference.parse(f"{guarded}/app:1"))
    assert "docker login" in caught.value.hint


# The token service below is a stand-in: which requests it gets is what is looked at.


@pytest.fixture
def seller() -> Iterator[Fake]:
    with Fake() as fake:
        layer = fake.offer("1", b"layer")
        realm = f"http://{fake.address}/token?x=1"
        offer = f'Bearer realm="{realm}",service="the service",scope="repository:app:pull"'
        closed = Reply(401, headers={"WWW-Authenticate": offer})
        for path in ("GET /v2/app/manifests/1", layer):
            fake.replies[path] = [closed, *fake.replies[path]]
        fake.replies["GET /token"] = [Reply(200, b'{"token": "good"}')]
        fake.replies["POST /token"] = [Reply(200, b'{"access_token": "better"}')]
        yield fake


def pulled(fake: Fake, store: Store) -> list[str | None]:
    """The Authorization headers that were sent to the repository."""
    registry.pull(Reference.parse(f"{fake.address}/app:1"), store, plain_http=True)
    return [x.headers.get("Authorization") for x in fake.asked if x.path.startswith("/v2/app")]


def test_a_token_is_bought_once_and_for_nothing(seller: Fake, store: Store) -> None:
    sent = pulled(seller, store)
    assert sent[:2] == [None, "Bearer good"]
    bought = [asked for asked in seller.asked if asked.path.startswith("/token")]
    assert "Authorization" not in bought[0].headers
    assert parse_qs(urlsplit(bought[0].path).query) == {
        "x": ["1"],
        "service": ["the service"],
        "scope": ["repository:app:pull"],
    }


def test_an_expired_token_is_bought_again(seller: Fake, store: Store) -> None:
    seller.replies["GET /token"] = [
        Reply(200, b'{"token": "old"}'),
        Reply(200, b'{"token": "new"}'),
    ]
    assert "Bearer new" in pulled(seller, store)  # the layer is answered with a 401 first


def test_a_token_is_bought_with_the_password(seller: Fake, store: Store, log_in: LogIn) -> None:
    log_in(seller.address, "ann", "secret")
    assert "Bearer good" in pulled(seller, store)
    told = {x.headers.get("Authorization") for x in seller.asked if x.path.startswith("/token")}
    assert told == {Credentials("ann", "secret").basic()}


def test_an_identity_token_buys_one(
    seller: Fake, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {seller.address: {"identitytoken": "long"}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    assert "Bearer better" in pulled(seller, store)
    form = parse_qs(next(x.body for x in seller.asked if x.method == "POST").decode())
    assert form["refresh_token"] == ["long"]
    assert form["grant_type"] == ["refresh_token"]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"token": 3}', b'{"token": "a\\r\\nb: c"}', b'{"token": "\\u00e9"}'],
)
def test_a_token_service_that_sells_nothing(seller: Fake, store: Store, body: bytes) -> None:
    seller.replies["GET /token"] = [Reply(200, body)]
    with pytest.raises(YardarmError, match="no token comes from"):
        pulled(seller, store)


def test_a_token_that_is_not_sold(seller: Fake, store: Store, log_in: LogIn) -> None:
    seller.replies["GET /token"] = [Reply(401)]
    with pytest.raises(InvalidInput, match="who we are"):
        pulled(seller, store)
    log_in(seller.address, "ann", "wrong")
    with pytest.raises(InvalidInput, match="refuses the credentials of ann"):
        pulled(seller, store)


def test_a_password_does_not_travel_without_tls(seller: Fake, store: Store, log_in: LogIn) -> None:
    log_in(seller.address, "ann", "secret")
    offer = 'Bearer realm="http://tokens.example.com/x"'
    path = "GET /v2/app/manifests/1"
    seller.replies[path] = [Reply(401, headers={"WWW-Authenticate": offer})]
    with pytest.raises(VerificationFailed, match="password could be read"):
        pulled(seller, store)


def test_no_right_in_spite_of_a_token(seller: Fake, store: Store) -> None:
    denied = b'{"errors":[{"code":"DENIED","message":"not yours"}]}'
    seller.replies["GET /v2/app/manifests/1"] = [Reply(403, denied)]
    with pytest.raises(InvalidInput, match="DENIED: not yours"):
        pulled(seller, store)


def test_challenges_are_read() -> None:
    both = 'Basic realm="a, b", Bearer realm="https://x/y",service=z,scope="s:pull,push"'
    assert challenges(both) == [
        Challenge("basic", {"realm": "a, b"}),
        Challenge("bearer", {"realm": "https://x/y", "service": "z", "scope": "s:pull,push"}),
    ]
    assert challenges('Negotiate, Digest realm="x"') == []


# Where credentials are kept.


def kept(folder: Path, body: object) -> dict[str, str]:
    (folder / "config.json").write_text(body if isinstance(body, str) else json.dumps(body))
    return {"DOCKER_CONFIG": str(folder), "HOME": str(folder)}


def encoded(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def test_dockers_file(tmp_path: Path) -> None:
    auths = {
        "a.example:5000": encoded("ann:se:cret"),
        "https://old.example/v1/": encoded("hub:x"),
        "https://b.example/v2/": {"username": "bea", "password": "y"},
        "empty.example": {},
    }
    environment = kept(tmp_path, {"auths": auths})
    assert find("a.example:5000", environment) == Credentials("ann", "se:cret")
    assert find("old.example", environment) == Credentials("hub", "x")
    assert find("b.example", environment) == Credentials("bea", "y")
    assert find("empty.example", environment) is None
    assert find("a.example", environment) is None
    assert "cret" not in repr(find("a.example:5000", environment))


def test_other_places(tmp_path: Path) -> None:
    home = tmp_path / ".docker"
    home.mkdir()
    kept(home, {"auths": {"x": encoded("home:1")}})
    podman = tmp_path / "run" / "containers"
    podman.mkdir(parents=True)
    (podman / "auth.json").write_text(json.dumps({"auths": {"y": encoded("podman:1")}}))
    environment = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    assert find("x", environment) == Credentials("home", "1")
    assert find("y", environment) == Credentials("podman", "1")
    chosen = {"REGISTRY_AUTH_FILE": str(podman / "auth.json"), **environment}
    assert find("x", chosen) is None
    assert find("x", {"HOME": str(tmp_path / "nobody")}) is None


def test_helpers_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        "#!/bin/sh\nread name || true\n"
        'case "$name" in\n'
        '  a.example) echo \'{"ServerURL":"a.example","Username":"ann","Secret":"s"}\' ;;\n'
        '  t.example) echo \'{"Username":"<token>","Secret":"long"}\' ;;\n'
        "  broken.example) echo nonsense ;;\n"
        "  locked.example) echo the vault is locked; exit 1 ;;\n"
        "  *) echo credentials not found in native keychain; exit 1 ;;\nesac\n"
    )
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    auths = {"auths": {"f.example": encoded("file:1")}}
    environment = kept(tmp_path, {"credsStore": "test", **auths})
    assert find("a.example", environment) == Credentials("ann", "s")
    assert find("t.example", environment) == Credentials(identity_token="long")
    assert find("f.example", environment) == Credentials("file", "1")
    with pytest.raises(InvalidInput, match="answers no JSON"):
        find("broken.example", environment)
    named = kept(
        tmp_path, {"credHelpers": {"locked.example": "test", "f.example": "missing"}, **auths}
    )
    with pytest.raises(YardarmError, match="no answer for locked") as caught:
        find("locked.example", named)
    assert "vault is locked" in caught.value.hint
    with pytest.raises(YardarmError, match="docker-credential-missing is not installed"):
        find("f.example", named)
    general = kept(tmp_path, {"credsStore": "missing", **auths})
    assert find("f.example", general) == Credentials("file", "1")


@pytest.mark.parametrize("body", ["{", "[]", {"auths": {"x": {"auth": "%%"}}}], ids=str)
def test_a_damaged_file(tmp_path: Path, body: object) -> None:
    with pytest.raises(InvalidInput, match="credentials can't be read") as caught:
        find("x", kept(tmp_path, body))
    assert caught.value.where.endswith("config.json")


# TLS.


def certificate(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    encoding = serialization.Encoding.PEM
    file = folder / "both.pem"
    file.write_bytes(
        made.public_bytes(encoding)
        + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    )
    return file


def test_a_certificate_counts_once_it_is_trusted(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path)
    made = image(store, 33)
    with registry_rig.registry(tmp_path / "tls", certificate=file) as address:
        name = Reference.parse(f"{address}/app:1")
        with pytest.raises(VerificationFailed, match="certificate") as caught:
            registry.push(made, store, name)
        assert f"certs.d/{address}/ca.crt" in caught.value.hint
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        registry.push(made, store, name)
        assert registry.resolve(name) == made.digest


def test_who_may_be_spoken_to_without_tls(tmp_path: Path) -> None:
    listed = tmp_path / "daemon.json"
    listed.write_bytes(canonical_json({"insecure-registries": ["lan:5000", "10.1.0.0/16"]}))

    def tried(host: str, plain: bool = False) -> tuple[str, ...]:
        return schemes(host, plain_http=plain, environment={"HOME": str(tmp_path)}, system=listed)

    both = ("https", "http")
    assert tried("example.com") == tried("lan:5001") == tried("10.2.0.1") == ("https",)
    assert tried("localhost:5000") == tried("127.0.0.1") == tried("[::1]:80") == both
    assert tried("127.0.0.1.example.com") == tried("localhost.example.com:80") == ("https",)
    assert tried("lan:5000") == tried("10.1.2.3:5000") == both
    assert tried("example.com", plain=True) == ("http",)
    listed.write_text("{")
    assert tried("lan:5000") == ("https",)
