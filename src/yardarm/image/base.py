"""The base layer: Debian's Python and what it needs to run, and no more.

No package manager, no maintainer scripts run: what those would have left (users, the link to
python3, the bundle of certificates) is written here.
"""

from __future__ import annotations

import fnmatch
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence

from yardarm import debian, digest
from yardarm.digest import Digest
from yardarm.events import Sink
from yardarm.image import account, diet, entries
from yardarm.image.entries import Entry
from yardarm.image.layer import WRITER, epoch, store_layer
from yardarm.profiles import Os
from yardarm.store import Store

_ALWAYS = (
    *("base-files", "base-passwd", "ca-certificates", "dash", "libc6", "libgcc-s1"),
    *("libstdc++6", "netbase", "zlib1g"),
)

# Packages that come along as dependencies of maintainer scripts or of dpkg, with the paths
# that belong to them and that no broader rule below covers.
_LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "debconf": ("etc/debconf.conf", "usr/share/debconf/*", "usr/share/perl5/*"),
    "debianutils": (),
    "dpkg": ("usr/lib/dpkg/*", "usr/libexec/dpkg/*", "usr/share/dpkg/*", "usr/share/polkit-1/*"),
    "libacl1": ("usr/lib/*/libacl.so*", "lib/*/libacl.so*"),
    "libdebconfclient0": ("usr/lib/*/libdebconfclient.so*",),
    "libmd0": ("usr/lib/*/libmd.so*", "lib/*/libmd.so*"),
    "libpcre2-8-0": ("usr/lib/*/libpcre2-8.so*",),
    "libselinux1": ("usr/lib/*/libselinux.so*", "lib/*/libselinux.so*"),
    "libzstd1": ("usr/lib/*/libzstd.so*", "lib/*/libzstd.so*"),
    "mawk": (),
    "openssl": ("usr/lib/ssl/misc/*",),
    "tar": ("etc/rmt",),
}

_DROPPED = (
    *("bin/*", "sbin/*", "usr/bin/*", "usr/sbin/*", "usr/games*", "usr/include*", "usr/src*"),
    *("boot*", "dev/*", "proc/*", "run/*", "sys/*", "tmp/*", "media*", "mnt*", "srv*"),
    *("var/backups*", "var/cache/*", "var/lib/*", "var/local*", "var/lock*", "var/log/*"),
    *("var/mail*", "var/opt*", "var/run*", "var/spool/*", "var/tmp/*"),
    *("etc/alternatives*", "etc/apt*", "etc/cron*", "etc/dpkg*", "etc/fstab", "etc/issue*"),
    *("etc/logrotate.d*", "etc/motd", "etc/skel*", "etc/update-motd.d*", "etc/hostname"),
    *("etc/resolv.conf", "etc/ssl/private*", "etc/ca-certificates*", "etc/gss*"),
    *("lib/systemd*", "usr/lib/systemd*", "usr/lib/binfmt.d*", "usr/lib/mime*"),
    *("usr/lib/*/gconv*", "usr/lib/valgrind*", "usr/lib/pam.d*", "usr/lib/tmpfiles.d*"),
    *("usr/share/applications*", "usr/share/base-files*", "usr/share/base-passwd*"),
    *("usr/share/bash-completion*", "usr/share/binfmts*", "usr/share/bug*", "usr/share/dict*"),
    *("usr/share/doc-base*", "usr/share/gcc*", "usr/share/gdb*", "usr/share/info*"),
    *("usr/share/lintian*", "usr/share/locale*", "usr/share/man*", "usr/share/misc*"),
    *("usr/share/pixmaps*", "usr/share/readline*", "usr/share/ca-certificates*"),
    *("usr/lib/python3*/test/*", "usr/lib/python3*/pydoc_data/topics.py"),
    *("usr/lib/python3*/lib-dynload/_test*", "usr/lib/python3*/lib-dynload/_xx*"),
    *("usr/lib/python3*/lib-dynload/xx*", "*/__pycache__*", "*.pyc"),
)
# Documents go, but what licences oblige a distributor to pass on stays.
_KEPT = (
    *("bin/dash", "bin/sh", "usr/bin/dash", "usr/bin/sh", "usr/bin/python3*"),
    "usr/share/doc/*/copyright",
)
_DOCUMENTS = ("usr/share/doc/*/*",)

# What apt and dpkg keep of themselves, which is no part of any package.
_STATE = ("var/cache/apt/", "var/lib/apt/", "var/lib/dpkg/")
_INFO = "var/lib/dpkg/info/"

_STATUS = ("Package", "Status", "Version", "Architecture", "Source", "Pre-Depends", "Depends")


def _either(*globs: str) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, globs)))


_UNWANTED = _either(*(f"usr/share/doc/{name}*" for name in _LEFT_OUT), *sum(_LEFT_OUT.values(), ()))
_OUT = _either(*_DROPPED, *_DOCUMENTS)
_IN = _either(*_KEPT)


def keep(path: str) -> bool:
    """Whether a path of the unpacked packages goes into the image."""
    if _UNWANTED.fullmatch(path):
        return False
    return bool(_IN.fullmatch(path)) or not _OUT.fullmatch(path)


def packages(system: Os) -> tuple[str, ...]:
    """The Debian packages that are asked for; their dependencies come along."""
    name = f"python{system.python}"
    return (*_ALWAYS, name, f"{name}-minimal", f"lib{name}-stdlib")


def key(system: Os, kept: Sequence[str] = ()) -> Digest:
    rules = [_DROPPED, _KEPT, _DOCUMENTS, _LEFT_OUT, _STATUS]
    return digest.of_json(
        [
            "image/base/2",
            WRITER,
            epoch(),
            system.suite,
            system.python,
            packages(system),
            rules,
            list(kept),
        ]
    )


def make(system: Os, store: Store, sink: Sink, kept: Sequence[str] = ()) -> dict[str, object]:
    """Unpack, choose, complete, write: the layer as a step records it.

    Args:
        kept: globs of paths in the image that are taken besides.
    """
    root = debian.root(packages(system), suite=system.suite, sink=sink)
    contents = {name: text for name, text in root.packages.items() if name not in _LEFT_OUT}
    with tarfile.open(root.tar) as archive:
        found = {entry.path: entry for entry in entries.from_tar(archive)}
        owners = dict(_owners(found))
        own = (entry for path, entry in found.items() if not path.startswith(_STATE))
        chosen = diet.chosen(own, keep, owner=lambda path: owners.get(path, "Debian"), keep=kept)
        blob = store_layer([*chosen.entries, *_completed(found, system, contents)], store)
    return {"blob": blob.to_oci(), "contents": contents, **chosen.record()}


def _owners(found: Mapping[str, Entry]) -> Iterator[tuple[str, str]]:
    """Path to the package that it is of, from dpkg's lists of sums."""
    for path, entry in found.items():
        if path.startswith(_INFO) and path.endswith(".md5sums"):
            name = path.removeprefix(_INFO).removesuffix(".md5sums")
            for line in _read(entry).decode(errors="replace").splitlines():
                yield _merged(line.partition("  ")[2]), name


def _merged(path: str) -> str:
    """Where a file lies that a package has below /bin, /sbin or /lib."""
    return f"usr/{path}" if path.startswith(("bin/", "sbin/", "lib/")) else path


def _completed(
    found: Mapping[str, Entry], system: Os, contents: Mapping[str, str]
) -> Iterator[Entry]:
    """What maintainer scripts and engines would have made."""
    yield from (entries.folder(name) for name in ("dev", "proc", "run", "sys", "root", "home"))
    yield from (entries.folder(name, sticky=True) for name in ("tmp", "var/tmp"))
    yield from (entries.file(f"etc/{name}", b"") for name in ("hostname", "hosts", "resolv.conf"))
    yield entries.symlink("usr/bin/python3", f"python{system.python}")
    yield entries.symlink("bin/sh" if "bin/dash" in found else "usr/bin/sh", "dash")
    lists = (found[f"usr/share/base-passwd/{name}.master"] for name in ("passwd", "group"))
    yield from account.added(*map(_read, lists))
    yield entries.file("etc/ssl/certs/ca-certificates.crt", _certificates(found))
    status = _read(found["var/lib/dpkg/status"]).decode()
    yield entries.file("var/lib/dpkg/status", _status(status, contents))


def _certificates(found: Mapping[str, Entry]) -> bytes:
    names = sorted(
        name for name in found if fnmatch.fnmatch(name, "usr/share/ca-certificates/*.crt")
    )
    return b"".join(_read(found[name]) for name in names)


def _status(unpacked: str, contents: Mapping[str, str]) -> bytes:
    """The list of packages, where scanners look for it; they want to know sources and needs."""
    listed = {entry["Package"]: entry for entry in debian.paragraphs(unpacked)}
    blocks = (
        "".join(f"{field}: {listed[name][field]}\n" for field in _STATUS if field in listed[name])
        for name in sorted(contents)
    )
    return "\n".join(blocks).encode()


def _read(entry: Entry) -> bytes:
    with entry.open() as stream:
        return stream.read()
