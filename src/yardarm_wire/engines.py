"""TensorRT engines that were built on devices: what an engine is bound to, and how it is kept.

An engine runs only where TensorRT, GPU and module are those that it was built with, and is
as fast as it was only in the same power mode. So it is named by all of them.

    engines/<hex of the key's digest>/engine.plan, engine.json
                                      attachment.json, attachment.sig where it was handed over
    engines/timing-<TensorRT>-<SM>.cache
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any, Dict, List, NamedTuple

SCHEMA = "yardarm.engine/1"
NAMESPACE = "yardarm-engine"
"""Of the SSHSIG signature of a record that is handed over; the payload is the record's
canonical JSON."""

PLAN, RECORD = "engine.plan", "engine.json"
ATTACHMENT, SIGNATURE = "attachment.json", "attachment.sig"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Key(NamedTuple):
    """What an engine is bound to.

    Attributes:
        model: digest of model.onnx.
        tensorrt: full version, such as "10.3.0".
        sm: the GPU's compute capability as one number: 87 is 8.7.
        module: as the device tree spells it; "" unknown.
        power_mode: nvpmodel's name of it, such as "15W"; "" unknown.
        options: digest of the canonical JSON of the manifest's `tensorrt`.
    """

    model: str
    tensorrt: str
    sm: int
    module: str
    power_mode: str
    options: str

    def to_json(self) -> Dict[str, Any]:
        return dict(zip(self._fields, self))

    @classmethod
    def from_json(cls, body: Any) -> Key:
        """Raises ValueError for anything that is not exactly a key."""
        if not isinstance(body, dict) or set(body) != set(cls._fields):
            raise ValueError("an engine's key has the fields %s" % ", ".join(cls._fields))
        key = cls(**body)
        texts = key.model, key.tensorrt, key.module, key.power_mode, key.options
        if type(key.sm) is not int or not all(type(text) is str for text in texts):
            raise ValueError("an engine's key holds strings, and an integer as sm")
        for text in (key.model, key.options):
            checked_digest(text)
        return key

    def digest(self) -> str:
        return of_bytes(canonical(self.to_json()))

    def differences(self, other: Key) -> List[str]:
        """In what `other`, an engine's key, is not this one, a sentence each; [] where it is."""
        return [
            _SENTENCES[name].format(_said(theirs), _said(ours))
            for name, ours, theirs in zip(self._fields, self, other)
            if ours != theirs
        ]


_SENTENCES = {
    "model": "model: built from {}, this one is {}",
    "tensorrt": "TensorRT: built with {}, this device has {}",
    "sm": "GPU: built for SM {}, this device has SM {}",
    "module": "module: built on {}, this device is {}",
    "power_mode": "power mode: built in {}, this device is in {}",
    "options": "options: built with {}, this bundle asks for {}",
}


def _said(value: Any) -> str:
    text = str(value)
    return text[:19] if _DIGEST.fullmatch(text) else text or "an unknown one"


class Record(NamedTuple):
    """What stands beside a plan: its key, and the digest and size in bytes of the plan."""

    key: Key
    engine: str
    size: int

    def to_json(self) -> Dict[str, Any]:
        return {
            "schema": SCHEMA,
            "key": self.key.to_json(),
            "engine": self.engine,
            "size": self.size,
        }

    @classmethod
    def from_json(cls, body: Any) -> Record:
        """Raises ValueError for anything that is not exactly a record."""
        fields = {"schema", "key", "engine", "size"}
        if not isinstance(body, dict) or body.get("schema") != SCHEMA or set(body) != fields:
            raise ValueError("this is not a %s" % SCHEMA)
        if type(body["size"]) is not int or body["size"] < 0:
            raise ValueError("an engine's size is %r" % (body["size"],))
        return cls(Key.from_json(body["key"]), checked_digest(body["engine"]), body["size"])

    @classmethod
    def parse(cls, data: bytes) -> Record:
        """As `from_json`, from the bytes of a file. Raises ValueError."""
        try:
            return cls.from_json(json.loads(data.decode()))
        except RecursionError:
            raise ValueError("this is not a %s" % SCHEMA) from None


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def of_bytes(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def of_file(path: str) -> str:
    """Digest of a file that may be large. Raises OSError."""
    hashed = hashlib.sha256()
    with open(path, "rb") as stream:
        for part in iter(lambda: stream.read(1 << 20), b""):
            hashed.update(part)
    return "sha256:" + hashed.hexdigest()


def checked_digest(text: Any) -> str:
    """Raises ValueError for anything that is not a sha256 digest."""
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise ValueError("%r is not a sha256 digest" % (text,))
    return text


def folder(engines: str, key: Key) -> str:
    """Where the engine of that key lies below `engines`."""
    return os.path.join(engines, key.digest()[len("sha256:") :])


def timing_cache(engines: str, tensorrt: str, sm: int) -> str:
    """The file with what builds of that TensorRT on that GPU measured."""
    return os.path.join(engines, "timing-%s-%d.cache" % (tensorrt, sm))
