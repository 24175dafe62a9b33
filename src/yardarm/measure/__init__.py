"""Measuring on a device: the plan beforehand, statistics, verdict and result afterwards.

Nothing here talks to a device; `flow` carries the plan there and the run's files back.
"""

from yardarm.measure.conditions import changes
from yardarm.measure.inputs import export
from yardarm.measure.plan import plan
from yardarm.measure.result import Measured, Outputs, result
from yardarm.measure.results import folder_of, latest, load, save
from yardarm.measure.run import Run, read
from yardarm.measure.statistics import percentiles

__all__ = [
    "Measured",
    "Outputs",
    "Run",
    "changes",
    "export",
    "folder_of",
    "latest",
    "load",
    "percentiles",
    "plan",
    "read",
    "result",
    "save",
]
