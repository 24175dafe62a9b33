"""Which registries may be spoken to without TLS."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path

from yardarm.registry.authentication import loopback

SYSTEM = Path("/etc/docker/daemon.json")


def schemes(
    host: str,
    *,
    plain_http: bool,
    environment: Mapping[str, str] = os.environ,
    system: Path = SYSTEM,
) -> tuple[str, ...]:
    """The protocols to try, in this order.

    Plain HTTP comes after HTTPS for this machine's own registries and for those that docker's
    `insecure-registries` names; it is the only one with `plain_http`. Everybody else: HTTPS.
    """
    if plain_http:
        return ("http",)
    name = _name(host)
    home = Path(
        environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "/")) / ".config"
    )
    listed = (entry for file in (system, home / "docker/daemon.json") for entry in _listed(file))
    if loopback(name) or any(_covers(entry, host, name) for entry in listed):
        return ("https", "http")
    return ("https",)


def _name(host: str) -> str:
    """The host without its port."""
    return host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]


def _listed(file: Path) -> list[str]:
    try:
        found = json.loads(file.read_bytes())["insecure-registries"]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # docker's own business
    return [entry for entry in found if isinstance(entry, str)] if isinstance(found, list) else []


def _covers(entry: str, host: str, name: str) -> bool:
    if entry in (host, name):
        return True
    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
