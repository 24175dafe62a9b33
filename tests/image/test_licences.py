"""Licences as packages name them, in SPDX's spelling where that is certain."""

from __future__ import annotations

from email.parser import HeaderParser

import pytest

from yardarm.image.licences import Licences, identifier, is_spdx, of_copyright, of_metadata

STANZAS = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: thing

Files: *
Copyright: 2020 Somebody
License: Expat

Files: debian/*
Copyright: 2021 Another
License: GPL-2+
 This program is free software.

Files: other/*
License: ...

License: LGPL-2.1
 Only the text of a licence that nothing here has.
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("AGPL-3", "AGPL-3.0-only"),
        ("Expat", "MIT"),
        ("bsd-3-clause", "BSD-3-Clause"),
        ("MIT License", "MIT"),
        ("public-domain", None),
        ("GPL", None),
        ("GPL-2+ with Autoconf exception", None),
    ],
)
def test_names_in_spdx(name: str, expected: str | None) -> None:
    assert identifier(name) == expected
    assert expected is None or is_spdx(expected)


def test_stanzas_about_files_count() -> None:
    assert of_copyright(STANZAS) == Licences(("GPL-2.0-or-later", "MIT"), declared=True)


def test_a_copyright_file_in_prose_refers_to_texts() -> None:
    """Which says nothing of "or later", so it is not spelled as SPDX does."""
    text = "On Debian systems see `/usr/share/common-licenses/GPL-2'.\nLicense: by the sea."

    assert of_copyright(text) == Licences(("GPL-2",), declared=False)


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ("License-Expression: MIT AND Zlib\nLicense: no", ("MIT AND Zlib",)),
        ("License: Apache 2.0\nClassifier: License :: OSI Approved", ("Apache-2.0",)),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", ("MIT",)),
        (f"License: {'text ' * 40}", ()),
        ("Classifier: Topic :: Games", ()),
    ],
)
def test_metadata(headers: str, names: tuple[str, ...]) -> None:
    assert of_metadata(HeaderParser().parsestr(headers)).names == names
