"""Maintainer scripts of Debian packages: read, never run.

What most of them do is needed by no image (dpkg's triggers, ldconfig: the loader looks in
Debian's folders by itself), or is a link that is made here. The others are told to the user.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from yardarm.image import entries
from yardarm.image.entries import Entry

_HARMLESS = re.compile(
    r"set -[eux]+|exit 0|exit|true|:|then|else|fi|do|done|esac|;;|\{|\}|in|return( 0)?"
    r"|(el)?if .*|case .*|for .*|[\w|*\s\"'.-]+\)\s*(;;)?"
    r"|(ldconfig|dpkg-trigger|update-alternatives|dpkg-maintscript-helper|deb-systemd-\w+"
    r"|systemctl|py3compile|py3clean|install-info|update-mime|test|echo|printf)\b.*"
    r"|\[ .*|\#.*|"
)
"""Lines that leave nothing that an image needs, or only steer others."""

_LINK = re.compile(r"update-alternatives\s.*?--install\s+(.+)", re.DOTALL)


def effects(script: str) -> tuple[str, ...]:
    """The lines of a shell script that would have mattered, or may have: those not known to be
    harmless."""
    return tuple(line for line in _lines(script) if not all(map(_is_harmless, _commands(line))))


def _commands(line: str) -> list[str]:
    """The parts of a line, for words that would hide behind harmless ones."""
    parts = re.split(r"&&|\|\||(?<!;);(?!;)", line)
    return [re.sub(r"^(then|else|do|\{)\s+", "", part.strip()) for part in parts]


def _is_harmless(command: str) -> bool:
    return bool(_HARMLESS.fullmatch(command))


def alternatives(script: str) -> Iterator[Entry]:
    """The links that `update-alternatives --install LINK NAME PATH PRIORITY` would make; those
    whose words are not plain text stay out."""
    for line in _lines(script):
        found = _LINK.fullmatch(line)
        if found and "$" not in found[1] and "`" not in found[1]:
            words = shlex.split(found[1], comments=True)
            yield from _links(words)


def _links(words: list[str]) -> Iterator[Entry]:
    """LINK NAME PATH PRIORITY, and the same after each --slave without a priority."""
    while len(words) >= 3 and words[0].startswith("/"):
        yield entries.symlink(words[0].strip("/"), words[2])
        if "--slave" not in words:
            return
        words = words[words.index("--slave") + 1 :]


def _lines(script: str) -> Iterator[str]:
    """Without comments, blank lines and the line breaks inside of commands."""
    joined = re.sub(r"\\\n\s*", " ", script)
    for line in joined.splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            yield text
