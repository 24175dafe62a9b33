"""docs/session-protocol.md says what the code does."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest

from yardarm_agent import session, spool
from yardarm_agent.blobs import RESERVE
from yardarm_agent.child import SILENCE
from yardarm_agent.layout import Layout
from yardarm_wire import frames, problems
from yardarm_wire.frames import Frame

TEXT = (Path(__file__).parents[2] / "docs" / "session-protocol.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL))
OPERATIONS = session.Session(Layout("/nowhere"), BytesIO())._operations
SOURCE = Path(session.__file__).read_text(encoding="utf-8")
HANDLERS = dict(
    re.findall(r"def (_\w+)\(self, _?header.*?\n(.*?)(?=\n    def |\n\n\n)", SOURCE, re.S)
)


def test_every_operation_is_documented_and_no_other() -> None:
    assert list(SECTIONS) == list(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_fields_that_are_read_are_documented(name: str) -> None:
    body = HANDLERS[OPERATIONS[name].__name__]  # type: ignore[attr-defined]
    fields = set(re.findall(r'header(?:\.get\(|\[|, )"(\w+)"', body))
    assert not {field for field in fields if f"`{field}`" not in SECTIONS[name]}


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_needs_the_claim_says_so(name: str) -> None:
    body = HANDLERS[OPERATIONS[name].__name__]  # type: ignore[attr-defined]
    assert ("_claimed()" in body) == SECTIONS[name].lstrip().startswith("Needs the claim.")


def test_the_example_is_a_frame() -> None:
    example = re.search(r"^    (00 00 [0-9a-f ]+)$", TEXT, re.MULTILINE)
    assert example is not None
    assert bytes.fromhex(example[1]) == frames.encode(Frame({"op": "x"}, b"\x01\x02"))


def test_the_numbers_are_those_of_the_code() -> None:
    for number in (frames.MAX_HEADER, frames.MAX_PAYLOAD, problems.LONGEST):
        assert f"{number:,}" in TEXT
    assert f"version is {frames.PROTOCOL}." in TEXT
    assert f"{RESERVE // 10**6} MB" in TEXT
    assert f"{SILENCE:.0f} seconds" in SECTIONS["bench"]
    assert f"{session.PULL_BYTES >> 20} MiB" in SECTIONS["spool"]
    assert spool.MAX_RECORD < session.PULL_BYTES


def test_every_kind_of_error_is_documented() -> None:
    kinds = {kind.kind for kind in [problems.Problem, *problems.Problem.__subclasses__()]}
    assert not {kind for kind in kinds if f"`{kind}`" not in TEXT}
