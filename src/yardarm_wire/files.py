"""The one seam through which anything durable is written, on the host and on devices.

`Files` does the real thing; a test hands in a recorder and enumerates the states that a
crash could leave.
"""

from __future__ import annotations

import os
import tempfile


class Files:
    """Durable file operations. Every method raises OSError as the system does."""

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Replace `path` with `data`: afterwards it holds the old bytes or the new ones."""
        folder = os.path.dirname(path) or "."
        handle, partial = tempfile.mkstemp(prefix=".partial-", dir=folder)
        try:
            with os.fdopen(handle, "wb") as stream:
                os.fchmod(stream.fileno(), mode)
                stream.write(data)
                stream.flush()  # else the sync has nothing to write yet
                self.sync(stream.fileno())
            self.rename(partial, path)
        except BaseException:
            if os.path.exists(partial):
                os.unlink(partial)
            raise

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def rename(self, source: str, target: str) -> None:
        """Rename within one file system, then make the folder's entry durable."""
        os.replace(source, target)
        self.sync_folder(os.path.dirname(target) or ".")

    def rename_tree(self, source: str, target: str) -> None:
        """Rename a folder whose files nobody has synced, so that it is there whole or not."""
        os.sync()  # of everything: for thousands of files that beats an fsync of each
        self.rename(source, target)

    def link(self, pointee: str, path: str) -> None:
        """Point the symlink `path` at `pointee`, by one rename."""
        partial = "%s.partial-%d" % (path, os.getpid())
        if os.path.lexists(partial):
            os.unlink(partial)
        os.symlink(pointee, partial)
        try:
            self.rename(partial, path)
        except BaseException:
            if os.path.lexists(partial):
                os.unlink(partial)
            raise

    def sync_folder(self, folder: str) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


FILES = Files()
