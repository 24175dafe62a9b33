"""The system that lab devices share, and each device's own files over it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from yardarm import debian, digest, paths, process
from yardarm.events import Sink
from yardarm.lab import cpuinfo
from yardarm.lab.names import Lab
from yardarm.lab.state import State
from yardarm.profiles import Profile
from yardarm.store.lock import exclusive
from yardarm_wire.files import FILES

_PACKAGES = """
base-files base-passwd bash ca-certificates coreutils dash findutils grep gzip hostname iproute2
libc-bin libstdc++6 login mount netbase openssh-server openssh-sftp-server passwd procps python3
sed tar util-linux
"""

_PREPARED = 1
"""Raise it when `_prepare` changes."""

_LOOKUPS = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"

_SSHD = """ListenAddress {ip}
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
UsePAM no
PrintMotd no
MaxSessions 100
MaxStartups 100
Subsystem sftp /usr/lib/openssh/sftp-server
SetEnv QEMU_CPU={qemu_model}
"""


def suite(profile: Profile) -> str:
    """The Debian suite that stands in for the device's own system."""
    return profile.os.suite if profile.family == "raspberry-pi" else "bookworm"


def shared(profile: Profile, sink: Sink) -> Path:
    """The unpacked system, made on first use and never written to again."""
    made = debian.root(_PACKAGES.split(), suite=suite(profile), sink=sink)
    key = digest.short(digest.of_json([_PREPARED, made.key]))
    folder = paths.cache() / "lab" / key
    with exclusive(folder.with_suffix(".lock"), "unpacking the lab's system", wait=120):
        if not folder.is_dir():
            _unpack(made.tar, folder)
    return folder


def _unpack(tar: Path, folder: Path) -> None:
    for left in folder.parent.glob(f"{folder.name}.staging-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix=f"{folder.name}.staging-", ignore_cleanup_errors=True
    ) as staging:
        root = Path(staging) / "root"
        root.mkdir(mode=0o755)
        process.run(["tar", "-xpf", str(tar), "-C", str(root), "--numeric-owner"])
        _prepare(root)
        FILES.rename_tree(str(root), str(folder))


def _prepare(root: Path) -> None:
    """Do by hand what the packages' maintainer scripts would have done."""
    masters = root / "usr/share/base-passwd"
    users = (masters / "passwd.master").read_text().replace("root:*:", "root:x:", 1)
    _write(root / "etc/passwd", users + "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n")
    _write(root / "etc/group", (masters / "group.master").read_text().replace(":*:", ":x:"))
    _write(root / "etc/shadow", "root:*:19000:0:99999:7:::\n", mode=0o640)
    _write(root / "etc/nsswitch.conf", _LOOKUPS)
    _write(root / "etc/profile", (root / "usr/share/base-files/profile").read_text())
    for name in ("dev", "sys", "mnt"):
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(0o755)
    (root / "usr/bin/awk").symlink_to("mawk")


def furnish(lab: Lab, state: State, profile: Profile) -> None:
    """Write a device's own files: into `upper`, and its keys for the host.

    What the device itself has written since its last start stays.
    """
    own = lab.device(state.name)
    _keys(own)
    for name in ("upper", "work", "root"):
        (own / name).mkdir(mode=0o755, exist_ok=True)
        (own / name).chmod(0o755)
    upper = own / "upper"
    model = f"{profile.match[0]} Rev 1.0 (emulated)\0"
    mark = json.dumps({"name": state.name, "profile": profile.name})
    settings = _SSHD.format(ip=state.ip, qemu_model=cpuinfo.qemu_model(profile.cpu))
    _write(upper / "etc/hostname", f"{state.name}\n")
    _write(upper / "etc/hosts", f"127.0.0.1 localhost\n{state.ip} {state.name}\n")
    _write(upper / "etc/yardarm-lab", mark + "\n")
    _write(upper / "sys/firmware/devicetree/base/model", model)
    _write(upper / "etc/ssh/sshd_config", settings)
    _write(upper / "etc/ssh/ssh_host_ed25519_key", (own / "host_key").read_text(), mode=0o600)
    _write(upper / "root/.ssh/authorized_keys", (own / "client_key.pub").read_text(), mode=0o600)
    for name, text in cpuinfo.lists(profile.cpu).items():
        _write(upper / "sys/devices/system/cpu" / name, text)
    for private in ("root", "root/.ssh"):
        (upper / private).chmod(0o700)
    public = " ".join((own / "host_key.pub").read_text().split()[:2])
    _write(own / "known_hosts", f"{state.ip} {public}\n")
    _write(own / "cpuinfo", cpuinfo.text(profile.cpu))


def _keys(own: Path) -> None:
    for name in ("host_key", "client_key"):
        if not (own / f"{name}.pub").is_file():
            (own / name).unlink(missing_ok=True)
            comment = f"yardarm-lab {own.name}"
            file = str(own / name)
            process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", file])


def _write(file: Path, text: str, mode: int = 0o644) -> None:
    """Write with `mode` whatever the umask; the folders made on the way are open to all."""
    for folder in reversed(file.parents):
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o755)
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
