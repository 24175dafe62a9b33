"""Who we are to a registry, from where docker and podman keep it.

A file is looked for at `$REGISTRY_AUTH_FILE`, else in `$DOCKER_CONFIG` or `~/.docker`, then where
podman logs in (`$XDG_RUNTIME_DIR/containers/auth.json`).
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yardarm import process
from yardarm.errors import InvalidInput

LOGIN = "log in with `docker login {0}` or `podman login {0}`"
_TOKEN_USER = "<token>"  # a helper's word for: the secret is an identity token


@dataclass(frozen=True)
class Credentials:
    """A name and password, or an identity token that stands for both."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def basic(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


def find(registry: str, environment: Mapping[str, str] = os.environ) -> Credentials | None:
    """The credentials kept for a registry, None: there are none.

    Args:
        registry: host and port as a user writes them.

    Raises:
        InvalidInput: a file is damaged; a helper that is named for this registry fails.
    """
    for file in _files(environment):
        if file.is_file():
            found = _in_file(file, registry)
            if found:
                return found
    return None


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    if chosen := environment.get("REGISTRY_AUTH_FILE"):
        yield Path(chosen)
        return
    home = Path(environment.get("HOME") or Path.home())
    yield Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"


def _in_file(file: Path, registry: str) -> Credentials | None:
    """A helper for the registry, then the helper for all, then what the file itself holds."""
    body = _read(file)
    if helper := _text(_section(body, "credHelpers").get(registry)):
        return _helped(helper, registry, file)
    if helper := _text(body.get("credsStore")):
        try:
            if found := _helped(helper, registry, file):
                return found
        except process.ProcessFailed:
            pass  # named for all registries, so that its absence says nothing of this one
    for key, entry in _section(body, "auths").items():
        if _host(key) == registry and isinstance(entry, dict):
            return _entry(entry, file, key)
    return None


def _read(file: Path) -> dict[str, Any]:
    try:
        body = json.loads(file.read_bytes())
    except ValueError:
        raise _damaged(file, "it is not JSON") from None
    if not isinstance(body, dict):
        raise _damaged(file, "it is not a JSON object")
    return body


def _section(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _host(key: str) -> str:
    """Keys are hosts, or URLs as older versions wrote them."""
    host = key.partition("://")[2] or key
    return host.partition("/")[0]


def _entry(entry: Mapping[str, Any], file: Path, key: str) -> Credentials | None:
    if token := _text(entry.get("identitytoken")):
        return Credentials(identity_token=token)
    username, password = _text(entry.get("username")), _text(entry.get("password"))
    if encoded := _text(entry.get("auth")):
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
        except ValueError:
            raise _damaged(file, f"the entry of {key} is not base64") from None
        username, _, password = decoded.partition(":")
    return Credentials(username, password.rstrip("\0")) if username else None


def _helped(helper: str, registry: str, file: Path) -> Credentials | None:
    """Ask docker-credential-HELPER, which reads a name and answers in JSON."""
    argv = (f"docker-credential-{helper}", "get")
    done = process.run(argv, stdin=registry.encode(), timeout=60, check=False)
    if done.code != 0:
        if b"not found" in done.stdout + done.stderr:
            return None
        raise process.ProcessFailed(
            f"docker-credential-{helper} has no answer for {registry}",
            where=str(file),
            hint=(done.stdout + done.stderr).decode(errors="replace").strip(),
        )
    try:
        body = json.loads(done.stdout)
        username, secret = str(body["Username"]), str(body["Secret"])
    except (ValueError, KeyError, TypeError):
        raise _damaged(file, f"docker-credential-{helper} answers no JSON") from None
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(username, secret)


def _damaged(file: Path, what: str) -> InvalidInput:
    return InvalidInput(
        f"the credentials can't be read: {what}", where=str(file), hint="log in again"
    )
