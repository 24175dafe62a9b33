"""Engines that were built on this device, by key.

A plan is code that runs on the GPU, and TensorRT believes it: so nothing is handed to it
whose key and digest are not right.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import shutil
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from yardarm_runtime.problems import Problem
from yardarm_wire import engines
from yardarm_wire.engines import Key, Record
from yardarm_wire.files import FILES

HISTORY = "build.json"
PARTIAL, LOCK = ".partial", ".lock"
"""One lock for the whole folder: a board has no memory for two builds at once."""

WAITING = "waiting for another process that builds an engine"
LOOK_S = 1.0


class Unfit(Problem):
    """What lies under a key's name must not be run."""


class Stored(NamedTuple):
    """An engine as it was read: its plan, whose digest is right, and how it was built ({} for
    one that was handed over)."""

    record: Record
    plan: bytes
    history: Dict[str, Any]


class Cache:
    """The folder `root`, which is made when something is kept."""

    def __init__(self, root: str) -> None:
        self.root = root

    def folder(self, key: Key) -> str:
        return engines.folder(self.root, key)

    def partial(self, key: Key) -> str:
        """Where the engine of that key grows, in the hands of who holds the lock."""
        return self.folder(key) + PARTIAL

    def read(self, key: Key) -> Optional[Stored]:
        """The engine of that key; None where there is none.

        Raises:
            Unfit: there is one of another key, or it is damaged.
        """
        folder = self.folder(key)
        if not os.path.isdir(folder):
            return None
        record = _record(folder)
        differences = key.differences(record.key)
        if differences:
            raise Unfit("the engine is for something else: %s" % "; ".join(differences))
        try:
            with open(os.path.join(folder, engines.PLAN), "rb") as stream:
                plan = stream.read(record.size + 1)
        except OSError as error:
            raise Unfit("the engine can't be read: %s" % error.strerror) from None
        if len(plan) != record.size or engines.of_bytes(plan) != record.engine:
            raise Unfit("the engine is damaged: its digest is not that of its record")
        return Stored(record, plan, _history(folder))

    def present(self, key: Key) -> bool:
        """Whether there is one, as far as its record tells."""
        folder = self.folder(key)
        try:
            size = os.stat(os.path.join(folder, engines.PLAN)).st_size
            record = _record(folder)
        except (OSError, Unfit):
            return False
        return record.key == key and record.size == size

    def keep(self, key: Key, history: Dict[str, Any]) -> Record:
        """What grew in `partial` becomes the engine of that key. Raises Problem where that
        can't be written."""
        try:
            return self._keep(key, history)
        except OSError as error:
            raise Problem("the engine can't be kept in %s: %s" % (self.root, error)) from None

    def _keep(self, key: Key, history: Dict[str, Any]) -> Record:
        partial, folder = self.partial(key), self.folder(key)
        plan = os.path.join(partial, engines.PLAN)
        record = Record(key, engines.of_file(plan), os.stat(plan).st_size)
        body = engines.canonical(record.to_json())
        FILES.write(os.path.join(partial, HISTORY), json.dumps(history).encode())
        FILES.write(os.path.join(partial, engines.RECORD), body)
        shutil.rmtree(folder, ignore_errors=True)
        FILES.rename(partial, folder)
        return record

    def relatives(self, key: Key) -> List[Record]:
        """Engines of the same model under other keys."""
        found = []
        for path in glob.glob(os.path.join(glob.escape(self.root), "*", engines.RECORD)):
            try:
                record = _record(os.path.dirname(path))
            except Unfit:
                continue
            if record.key.model == key.model and record.key != key:
                found.append(record)
        return found

    def reasons(self, key: Key) -> List[str]:
        """Why none of the model's engines will do: in what the nearest one differs."""
        differences = [key.differences(record.key) for record in self.relatives(key)]
        return min(differences, key=len, default=[])

    def forget_broken(self) -> None:
        """Remove what broken builds left behind; for who holds the lock. Engines of other keys
        stay: the release that serves, or the one that a device goes back to, may run by one.
        The agent knows, and removes those of models that are gone."""
        for folder in glob.glob(os.path.join(glob.escape(self.root), "*" + PARTIAL)):
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def building(self, key: Key, progress: Callable[[str, int, int], None]) -> Iterator[str]:
        """The empty folder in which the engine of that key may grow, removed afterwards unless
        it was kept. One process at a time: another one waits, and says so.

        Raises:
            Problem: the folder can't be written.
        """
        while True:
            with self._lock() as ours:
                if ours:
                    try:
                        yield self._fresh(key)
                    finally:
                        shutil.rmtree(self.partial(key), ignore_errors=True)
                    return
            progress(WAITING, 0, 0)
            time.sleep(LOOK_S)

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        """Whether the lock could be had at once. The kernel takes it back from who is killed."""
        try:
            os.makedirs(self.root, exist_ok=True)
            stream = open(os.path.join(self.root, LOCK), "ab")
        except OSError as error:
            raise Problem(
                "the engine is not there, and %s can't be written to build it: %s"
                % (self.root, error.strerror)
            ) from None
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _fresh(self, key: Key) -> str:
        partial = self.partial(key)
        shutil.rmtree(partial, ignore_errors=True)
        os.makedirs(partial)
        return partial


def _record(folder: str) -> Record:
    try:
        with open(os.path.join(folder, engines.RECORD), "rb") as stream:
            return Record.parse(stream.read(1 << 20))
    except (OSError, ValueError) as error:
        raise Unfit("the engine's record can't be read: %s" % error) from None


def _history(folder: str) -> Dict[str, Any]:
    try:
        with open(os.path.join(folder, HISTORY), encoding="utf-8") as stream:
            body = json.load(stream)
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
