"""What the run is worth, before anything that it measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yardarm.artifacts import EMULATED
from yardarm.report import reading
from yardarm.report.page import Verdict

_HEADLINES = {
    "EMULATED": EMULATED[:1].upper() + EMULATED[1:],
    "VALID": "Valid: measured on the device with enough samples",
    "INSUFFICIENT": "Insufficient: too little data for what was asked",
}


def emulated(result: Mapping[str, Any]) -> bool:
    """Either mark is enough: a doubtful latency is never shown as the device's."""
    return result.get("emulated") is not False or _status(result) == "EMULATED"


def verdict(result: Mapping[str, Any]) -> Verdict:
    status = "EMULATED" if emulated(result) else _status(result)
    reasons = reading.sequence(reading.at(result, "verdict", "reasons"))
    return Verdict(
        tone=status.lower() if status in _HEADLINES else "unknown",
        status=status,
        headline=_HEADLINES.get(status, f"Verdict: {status}"),
        reasons=tuple(reading.text(reason) for reason in reasons if reason != EMULATED),
    )


def _status(result: Mapping[str, Any]) -> str:
    return reading.text(reading.at(result, "verdict", "status")) or "UNKNOWN"
