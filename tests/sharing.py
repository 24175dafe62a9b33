"""How several workers share the tests (`pytest -n 2`): what belongs together stays together.

A file is one piece, so that what its tests prepare once is prepared once. So is a folder whose
files share a device or an image. Long pieces begin first, lest one be left alone at the end.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import Producer

PAGES = "tests/docs/test_blocks.py::test_the_commands_of_a_page_run"  # each with its own device
FOLDERS = ("tests/deploy/", "tests/image/")
LONG = (
    PAGES,
    *(f"tests/{name}/" for name in ("deploy", "flow", "demo", "compile", "zoo", "cli")),
)


def piece(test: str) -> str:
    """What a test, named as pytest does, goes with: a folder, a file, or nothing else."""
    if test.startswith(PAGES):
        return test
    file, *_ = test.split("::", maxsplit=1)
    return next((folder for folder in FOLDERS if file.startswith(folder)), file)


def place(test: str) -> int:
    """Tests begin in this order."""
    return next((at for at, long in enumerate(LONG) if test.startswith(long)), len(LONG))


class Sharing(LoadScopeScheduling):
    """Hands out pieces in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return piece(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    return Sharing(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place(item.nodeid))
