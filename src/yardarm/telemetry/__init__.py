"""Telemetry records brought from devices, kept on this machine, and summarised."""

from __future__ import annotations

from yardarm.telemetry.archive import Archive
from yardarm.telemetry.pull import Pulled, pull
from yardarm.telemetry.summary import summarise

__all__ = ["Archive", "Pulled", "pull", "summarise"]
