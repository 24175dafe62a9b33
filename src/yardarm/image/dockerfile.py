"""The recipe that makes an equivalent image with docker buildx, for those who stay with it.

Packages have the versions and wheels the hashes that were found here. The image's bytes are
others: Docker runs every step, and keeps what Debian's scripts leave.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from yardarm.artifacts import Descriptor
from yardarm.image import account
from yardarm.image.application import APPLICATION
from yardarm.image.compose import Layers
from yardarm.image.runtime import PACKAGES
from yardarm.image.spec import BUNDLE, ENGINES, WORK
from yardarm.image.wheels import LIBRARY
from yardarm.store import Store

_HEAD = """\
# Written by `yardarm image dockerfile` for {profile}. Build in the project's folder:
#   docker buildx build --platform linux/arm64 -f FILE -t NAME \\
#       --build-context yardarm={code} {base}.
"""
_CODE = (
    "\"$(python3 -c 'import pathlib, yardarm_wire as wire; "
    "print(pathlib.Path(wire.__file__).parents[1])')\""
)


def dockerfile(made: Layers, config: Descriptor, store: Store) -> str:
    """The recipe for finished layers.

    Args:
        config: of the image that they make.
    """
    started = store.read_json(config.digest)["config"]
    parts = [
        _HEAD.format(
            profile=made.on.profile.name,
            code=_CODE,
            base="" if _default(made) else "--build-arg BASE=… ",
        ),
        *_base(made),
        *_wheels(made),
        "FROM ${BASE}\n",
        *_packages(made),
        _account(),
        f"COPY --from=wheels /{LIBRARY} /{LIBRARY}",
        *_application(made),
        *(f"COPY --from=yardarm {name} /{LIBRARY}/{name}" for name in PACKAGES),
        *_settings(started),
    ]
    return "\n".join(parts) + "\n"


def _default(made: Layers) -> str:
    """The base by repository and tag, "" where it has to be named."""
    base = made.spec.base
    if base is None:
        return f"debian:{made.on.profile.os.suite}-slim"
    if base.startswith(("oci:", "archive:")):
        return ""
    pinned = made.lock.bases.get(base)
    return base if pinned is None or "@" in base else f"{base}@{pinned}"


def _base(made: Layers) -> Iterator[str]:
    default = _default(made)
    if made.spec.base and not default:
        yield f"# The base is {made.spec.base} on disk: push it to a registry, and name it."
    yield f"ARG BASE={default}" if default else "ARG BASE"
    yield ""


def _wheels(made: Layers) -> Iterator[str]:
    """A stage of its own, so that pip is in no layer of the image."""
    pinned = made.lock.wheels[made.target].pinned
    lines = [f"{each.name}=={each.version} --hash=sha256:{each.sha256}" for each in pinned]
    yield "FROM ${BASE} AS wheels"
    yield "RUN python3 -m pip --version || { apt-get update \\"
    yield "      && apt-get install --yes --no-install-recommends python3-pip; }"
    yield "RUN printf '%s\\n' \\"
    yield from (f"      {shlex.quote(line)} \\" for line in lines)
    yield "      > /tmp/requirements.txt \\"
    yield "      && PIP_CONSTRAINT= python3 -m pip install --no-cache-dir --no-compile --no-deps \\"
    yield "           --only-binary :all: --require-hashes \\"
    yield f"           --target /{LIBRARY} -r /tmp/requirements.txt"
    yield ""


def _packages(made: Layers) -> Iterator[str]:
    """Python where the base is Debian's, and the packages on top, all as they are here."""
    listed = {layer.name: layer.contents for layer in made.parts}
    pinned: dict[str, str] = {}
    if made.spec.base is None:
        own = ("ca-certificates", f"python{made.on.profile.os.python}", "libstdc++6")
        pinned = {name: listed["base"][name] for name in own if name in listed["base"]}
    pinned |= listed.get("system", {})
    if not pinned:
        return
    yield "RUN apt-get update \\"
    yield "      && apt-get install --yes --no-install-recommends --allow-downgrades \\"
    yield from (f"           {_pin(name, version)} \\" for name, version in sorted(pinned.items()))
    if made.spec.base is None:
        yield f"      && ln -sf python{made.on.profile.os.python} /usr/bin/python3 \\"
    yield "      && rm -rf /var/lib/apt/lists/*"


def _pin(name: str, version: str) -> str:
    return shlex.quote(f"{name}={version}")


def _account() -> str:
    name, number = account.NAME, account.NUMBER
    return (
        f"RUN echo {name}:x:{number}:{number}::{WORK}:/usr/sbin/nologin >> /etc/passwd \\\n"
        f"      && echo {name}:x:{number}: >> /etc/group \\\n"
        f"      && mkdir --mode 1777 {WORK} && mkdir {BUNDLE} {ENGINES}"
    )


def _application(made: Layers) -> Iterator[str]:
    """Paths are told as in the project; a .dockerignore has to leave out what isn't wanted."""
    for path in made.spec.source:
        source = path.relative_to(made.spec.root).as_posix()
        yield f"COPY {json.dumps([source, f'/{APPLICATION}/{path.name}'])}"


def _settings(started: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    for text in started["Env"]:
        name, _, value = text.partition("=")
        yield f"ENV {name}={json.dumps(value).replace('$', chr(92) + '$')}"
    for name, value in sorted(started["Labels"].items()):
        yield f"LABEL {name}={json.dumps(value)}"
    yield f"WORKDIR {started['WorkingDir']}"
    yield f"USER {started['User']}"
    yield f"ENTRYPOINT {json.dumps(started['Entrypoint'])}"
    yield f"CMD {json.dumps(started['Cmd'])}"
