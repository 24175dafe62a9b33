"""Results on disk: `.yardarm/results/<created>-<digest>/`, the newest behind `latest`."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yardarm.digest import of_bytes, short
from yardarm.errors import InvalidInput
from yardarm.measure.result import SCHEMA
from yardarm_wire.files import FILES

LATEST = "latest"


def folder_of(project_root: Path) -> Path:
    return project_root / ".yardarm" / "results"


def save(result: Mapping[str, Any], samples: NDArray[np.int64], root: Path) -> Path:
    """Write a result and its raw samples, and point `latest` at it.

    Args:
        samples: int64 [n, 2] in ns, as they came from the device.
        root: the folder of results.

    Returns:
        The folder of this result. It appears whole or not at all.
    """
    body = json.dumps(result, indent=1, allow_nan=False).encode()
    raw = io.BytesIO()
    np.save(raw, samples)
    root.mkdir(parents=True, exist_ok=True)
    name = f"{_stamp(result['created'])}-{short(of_bytes(body))}"
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=root))
    try:
        FILES.write(str(partial / "result.json"), body)
        FILES.write(str(partial / "samples.npy"), raw.getvalue())
        partial.chmod(0o755)
        if not (root / name).exists():
            FILES.rename(str(partial), str(root / name))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    FILES.link(name, str(root / LATEST))
    return root / name


def _stamp(created: str) -> str:
    """A time that sorts and that every file system takes: 20261122T231500Z."""
    return datetime.fromisoformat(created).strftime("%Y%m%dT%H%M%SZ")


def load(path: Path) -> dict[str, Any]:
    """Read a result from its folder, its file, or `latest`.

    Raises:
        InvalidInput: there is none, it is damaged, or of another schema, which is named.
    """
    file = path / "result.json" if path.is_dir() else path
    try:
        body = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise InvalidInput(
            "there is no result", where=str(file), hint="`yardarm bench` makes one"
        ) from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"the result can't be read: {error}", where=str(file)) from None
    schema = body.get("schema") if isinstance(body, dict) else None
    if schema != SCHEMA:
        raise InvalidInput(
            f"the result's schema is {schema!r}; this version reads {SCHEMA}", where=str(file)
        )
    checked: dict[str, Any] = body
    return checked


def latest(root: Path) -> dict[str, Any]:
    """The newest result of a project. Raises InvalidInput as `load` does."""
    if not os.path.lexists(root / LATEST):
        raise InvalidInput("nothing was measured yet", where=str(root), hint="`yardarm bench`")
    return load(root / LATEST)
