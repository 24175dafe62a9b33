"""The agent as one file, and how it gets onto a device: by rename, checked by digest."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from yardarm.deploy.zipped import zipped
from yardarm.digest import Digest, of_bytes
from yardarm.errors import Refused, VerificationFailed
from yardarm.remote import Connection

ROOT = "/var/lib/yardarm"
PACKAGES = ("yardarm_agent", "yardarm_wire")
ENTRY = b"import sys\nfrom yardarm_agent.__main__ import main\nsys.exit(main(sys.argv[1:]))\n"
OLDEST_PYTHON = (3, 8)


@dataclass(frozen=True)
class AgentPlacement:
    """Where the agent is, its digest, and whether it was placed just now."""

    path: str
    digest: Digest
    placed: bool


def archive() -> bytes:
    """agent.pyz: the sources of agent and wire in a zip with fixed order and times."""
    return zipped(PACKAGES, {"__main__.py": ENTRY})


def place(connection: Connection, root: str = ROOT) -> AgentPlacement:
    """Make sure that the device has this version of the agent.

    The previous one is kept as `agent.previous.pyz`.

    Raises:
        Refused: no python3 ≥ 3.8, not root, or the folder can't be written.
        VerificationFailed: what arrived is not what was sent.
    """
    data = archive()
    digest = of_bytes(data)
    path = f"{root}/agent.pyz"
    if _probe(connection, path) == digest:
        return AgentPlacement(path, digest, placed=False)
    script = _PLACE.format(
        root=shlex.quote(root), expected=digest.removeprefix("sha256:"), not_whole=NOT_WHOLE
    )
    sent = connection.run(script, stdin=data, timeout=120)
    if sent.code == NOT_WHOLE:
        raise VerificationFailed("the agent did not arrive whole", where=connection.address.name)
    if sent.code != 0:
        reason = sent.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Refused(
            f"the agent can't be placed: {' '.join(reason) or f'code {sent.code}'}",
            where=f"{connection.address.name}:{root}",
            hint="the disk may be full or read-only; nothing was changed",
        )
    return AgentPlacement(path, digest, placed=True)


_PROBE = """
python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none
id -u
sha256sum {path} 2>/dev/null || true
"""

_PLACE = """
set -e; umask 022; mkdir -p {root}; cd {root}
new=agent.incoming.$$; trap 'rm -f $new' EXIT
cat > $new; sync $new
echo "{expected}  $new" | sha256sum -c --status || exit {not_whole}
if [ -e agent.pyz ]; then ln -f agent.pyz agent.previous.pyz; fi
mv $new agent.pyz; sync .
"""
"""Each placement writes a file of its own, so that two at once can't mix."""

NOT_WHOLE = 65


def _probe(connection: Connection, path: str) -> Digest | None:
    """The digest of the agent that is there; refuses a device that can't run one."""
    host = connection.address.name
    lines = connection.run(_PROBE.format(path=shlex.quote(path))).text.split("\n")
    version, user = lines[0].strip(), lines[1].strip() if len(lines) > 1 else ""
    if version == "none":
        raise Refused(
            "there is no python3 on the device", where=host, hint="apt-get install python3"
        )
    if tuple(int(part) for part in version.split(".")) < OLDEST_PYTHON:
        raise Refused(f"python3 on the device is {version}; 3.8 or newer is needed", where=host)
    if user != "0":
        raise Refused(
            "the session's user is not root", where=host, hint="connect as root@HOST for now"
        )
    found = lines[2].split()[0] if len(lines) > 2 and lines[2].split() else None
    return Digest(f"sha256:{found}") if found else None
