"""A real browser opens the reports: no console message, no request, nothing cut off."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yardarm import report

CHROMIUM = shutil.which("chromium")
OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed"
)


def opened(page: Path, profile: Path) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM, "CI installs chromium"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    logs = ["--enable-logging=stderr", "--v=0"]
    return subprocess.run(
        [
            CHROMIUM,
            *flags,
            *OFFLINE,
            *logs,
            f"--user-data-dir={profile}",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@pytest.mark.parametrize("kind", ["emulated", "device", "compile"])
def test_it_opens_without_a_complaint(
    kind: str,
    tmp_path: Path,
    make_result: Callable[..., dict[str, Any]],
    made_manifest: dict[str, Any],
    made_statistics: dict[str, Any],
) -> None:
    html = (
        report.render_compile(made_manifest, made_statistics)
        if kind == "compile"
        else report.render(make_result(emulated=kind == "emulated")).html
    )
    page = tmp_path / "report.html"
    page.write_text(html, encoding="utf-8")
    done = opened(page, tmp_path / "profile")
    assert not re.findall(r".*(?:CONSOLE|Content Security Policy).*", done.stderr)
    assert done.stdout.count("<svg") == html.count("<svg") > 0
    assert done.stdout.count("<table") == html.count("<table") > 0
