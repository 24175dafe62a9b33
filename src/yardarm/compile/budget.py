"""Does the compiled model keep within what the project allows?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yardarm.errors import BudgetNotMet
from yardarm.project import BudgetSection


def check_budget(manifest: Mapping[str, Any], budget: BudgetSection) -> None:
    """The measured loss counts, not its interval: that is for people to weigh.

    Raises:
        BudgetNotMet: names every figure that is over, as measured and as allowed.
    """
    missed = list(_missed(manifest, budget))
    if missed:
        raise BudgetNotMet(
            "; ".join(missed),
            where="yardarm.toml: budget",
            hint="calibrate with more or more typical samples, or allow more",
        )


def _missed(manifest: Mapping[str, Any], budget: BudgetSection) -> Iterator[str]:
    drop, metric = manifest["accuracy"]["drop"], manifest["accuracy"]["metric"]
    if budget.max_drop is not None and drop["value"] > budget.max_drop + 1e-12:
        yield (
            f"{metric} fell by {drop['value']:.4f} ({drop['low']:.4f} to {drop['high']:.4f} "
            f"at 95 %), max_drop is {budget.max_drop:g}"
        )
    size = manifest["model"]["size"] / 1e6
    if budget.max_size_mb is not None and size > budget.max_size_mb:
        yield f"model.onnx has {size:.3f} MB, max_size_mb is {budget.max_size_mb:g}"
