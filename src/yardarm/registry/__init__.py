"""OCI registries over HTTP: images pulled and pushed, and what is attached to them.

Reference.parse(text)                  a name, as docker reads it
pull(reference, store, sink)           into the store, byte for byte
resolve(reference)                     the digest that a tag names
push(image, store, reference, sink)    what the registry lacks, and the manifest
attach(manifests, store, reference)    artifacts about an image that is there
referrers(subject, reference)          what is attached to one
"""

from yardarm.registry.pull import Pulled, pull, resolve
from yardarm.registry.push import Pushed, expect_welcome, push, taggable
from yardarm.registry.reference import Reference
from yardarm.registry.referrers import attach, referrers

__all__ = [
    "Pulled",
    "Pushed",
    "Reference",
    "attach",
    "expect_welcome",
    "pull",
    "push",
    "referrers",
    "resolve",
    "taggable",
]
