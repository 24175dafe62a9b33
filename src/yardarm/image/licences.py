"""Licences as packages themselves name them: Debian's copyright files and wheels' METADATA.

Names are given in SPDX's spelling where there is one beyond doubt, else as they are written.

Sources: Debian's machine-readable copyright format 1.0 (its short names); PyPA's core
metadata (License-Expression, License, Classifier).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message

_SPDX: Mapping[str, str] = {
    **{name.lower(): name for name in ("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause")},
    **{name.lower(): name for name in ("BSD-4-Clause", "BSL-1.0", "CC0-1.0", "HPND", "ISC")},
    **{name.lower(): name for name in ("MIT", "MPL-1.1", "MPL-2.0", "MS-PL", "PSF-2.0", "X11")},
    **{name.lower(): name for name in ("Python-2.0", "Unlicense", "Zlib", "ZPL-2.1")},
    **{"expat": "MIT", "apache-2": "Apache-2.0", "apache 2.0": "Apache-2.0"},
    **{"apache software license": "Apache-2.0", "mit license": "MIT"},
    **{"3-clause bsd license": "BSD-3-Clause", "bsd 3-clause license": "BSD-3-Clause"},
    **{"mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "zpl 2.1": "ZPL-2.1"},
}
_GNU = re.compile(r"(A|L)?GPL-([123])(\.[01])?(\+)?")
_GNU_SPDX = re.compile(r"(A|L)?GPL-[123]\.[01]-(only|or-later)")
_COMMON = re.compile(r"/usr/share/common-licenses/([A-Za-z][A-Za-z0-9-]*(?:\.[0-9]+)?)")
_WORDY = 64
"""Characters of a License field beyond which it is the text, not the name."""


@dataclass(frozen=True)
class Licences:
    """What a package says of its licences.

    Attributes:
        names: SPDX identifiers, expressions or other names, sorted.
        declared: it names them as licences; False: it only refers to common texts.
    """

    names: tuple[str, ...] = ()
    declared: bool = True


def identifier(name: str) -> str | None:
    """SPDX's identifier for a licence's name, None where none is certain."""
    found = _GNU.fullmatch(name)
    if not found:
        return _SPDX.get(name.lower())
    family, major, minor, later = found.groups(default="")
    return f"{family}GPL-{major}{minor or '.0'}-{'or-later' if later else 'only'}"


def is_spdx(name: str) -> bool:
    """Whether it is one of SPDX's identifiers that are used here."""
    return name in _SPDX.values() or bool(_GNU_SPDX.fullmatch(name))


def of_copyright(text: str) -> Licences:
    """Those in a Debian copyright file: of its stanzas about files where it has any, else the
    common texts that it refers to."""
    if text.startswith("Format:"):
        return Licences(_unique(_of_stanzas(text)))
    return Licences(tuple(sorted({*_COMMON.findall(text)})), declared=False)


def _of_stanzas(text: str) -> Iterator[str]:
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, re.MULTILINE))
        if "License" in fields and ("Files" in fields or "Format" in fields):
            yield fields["License"].strip()


def of_metadata(headers: Message) -> Licences:
    """Those of a Python package: an expression, else its licence's name, else classifiers."""
    expression = str(headers.get("License-Expression", "")).strip()
    if expression:
        return Licences((expression,))
    name = str(headers.get("License", "")).strip()
    classified = (
        each.rpartition(" :: ")[2]
        for each in map(str, headers.get_all("Classifier", []))
        if each.startswith("License :: ")
    )
    plain = len(name) <= _WORDY and "\n" not in name and name.upper() != "UNKNOWN"
    return Licences(_unique(iter([name]) if name and plain else classified))


def _unique(names: Iterator[str]) -> tuple[str, ...]:
    """Sorted, in SPDX's spelling, without what is no name."""
    written = {name for name in names if re.search(r"[A-Za-z]", name)}
    return tuple(sorted({identifier(name) or name for name in written}))
