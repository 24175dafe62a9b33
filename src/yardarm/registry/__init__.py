"""OCI registries over HTTP: images pulled and pushed, and what is attached to them.

Reference.parse(text)              a name, as docker reads it
pull(reference, store, sink)       into the store, byte for byte
resolve(reference)                 the digest that a tag names
"""

from yardarm.registry.pull import Pulled, pull, resolve
from yardarm.registry.reference import Reference

__all__ = ["Pulled", "Reference", "pull", "resolve"]
