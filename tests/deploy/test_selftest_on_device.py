"""`yardarm bench HOST --selftest` on a real arm64 system."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import Cli
from deploy_rig import Rig
from yardarm.artifacts import EMULATED, Release


@pytest.mark.root
def test_an_emulated_pi_tests_itself_inside_its_release(
    rig: Rig, first: Release, cli: Cli, tmp_path: Path
) -> None:
    kept = tmp_path / "reports" / "selftest.json"
    ran = cli("bench", "lab:deploy", "--selftest", "--json", "--output", kept)
    told = ran.json
    assert json.loads(kept.read_text()) == told
    assert told["ok"] is True and told["routes"] == ["onnxruntime"]
    assert told["inside"] == f"release {first.digest[7:19]}"
    assert told["emulated"] is True and EMULATED in ran.stderr
    assert told["verified"]["machine"] == "aarch64"
    with rig.session() as session:
        assert session.request("status").header["current"] == first.digest
