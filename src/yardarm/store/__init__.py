"""Content-addressed blobs in an OCI image layout, and the cache of finished steps."""

from yardarm.store.layout import BlobWriter, Store
from yardarm.store.lock import exclusive

__all__ = ["BlobWriter", "Store", "exclusive"]
