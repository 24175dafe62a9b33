"""How npz archives between host and device hold samples that differ in shape."""

from __future__ import annotations

SHAPES = "shapes/"
"""Before an array's name: int64 [n, axes], the shapes of its n samples; the array itself
holds all their values one after the other."""
