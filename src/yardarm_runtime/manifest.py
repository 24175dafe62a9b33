"""A bundle's manifest.json, as far as running it goes."""

from __future__ import annotations

import json
import os
from typing import Any, Dict

from yardarm_runtime.problems import Problem


def read(bundle: str) -> Dict[str, Any]:
    """{} where the bundle has none. Raises Problem where it can't be read."""
    path = os.path.join(bundle, "manifest.json")
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, encoding="utf-8") as stream:
            body = json.load(stream)
    except (OSError, ValueError, RecursionError) as error:
        raise Problem("%s can't be read: %s" % (path, error)) from None
    if not isinstance(body, dict):
        raise Problem("%s can't be read: it is no JSON object" % path)
    return body
