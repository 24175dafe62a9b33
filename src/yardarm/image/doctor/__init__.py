"""The wheel doctor: which version of each package a target gets, and why not a newer one, or
none.

simple     what an index has of a package
judging    whether the target takes it, and if not, why
asking     pages and metadata, each fetched once
walking    what requirements pull in
routes     what to do about a package that fails
report     the findings
"""

from yardarm.image.doctor.examination import examine
from yardarm.image.doctor.report import Finding, Report

__all__ = ["Finding", "Report", "examine"]
