"""Engines that are handed over: a record that a trusted key signed, and a plan that fits it."""

from __future__ import annotations

import os
from typing import Any, Dict, List, NamedTuple

from yardarm_agent import blobs, building, engines, sshsig, trust
from yardarm_agent.engines import PARTIAL
from yardarm_agent.layout import Layout
from yardarm_agent.unpack import remove
from yardarm_wire import engines as wire
from yardarm_wire.engines import Record
from yardarm_wire.files import FILES
from yardarm_wire.problems import NotVerified, Refusal


class Attachment(NamedTuple):
    """A record as it was signed, and the armored SSHSIG over it."""

    payload: bytes
    signature: bytes


def accept(layout: Layout, attachment: Attachment) -> Record:
    """The record of an attachment, parsed after its signature.

    Raises:
        NotVerified: the signature is not one of a trusted key, or signs something else.
    """
    keys = trust.trusted(layout)
    if not sshsig.verify(attachment.payload, attachment.signature, wire.NAMESPACE, keys):
        raise NotVerified("the engine's signature is not one of a trusted key")
    try:
        record = Record.parse(attachment.payload)
    except ValueError as error:
        raise NotVerified("what was signed is no engine's record: %s" % error) from None
    if wire.canonical(record.to_json()) != attachment.payload:
        raise NotVerified("the engine's record is not spelled canonically")
    return record


def listed(layout: Layout) -> List[Dict[str, Any]]:
    """{"record", "signed"} of each engine that is kept here; those that were built here are
    signed by nobody."""
    return [
        {"record": item.record.to_json(), "signed": _signed(layout, item)}
        for item in engines.kept(layout)
    ]


def _signed(layout: Layout, item: engines.Kept) -> bool:
    try:
        payload, signature = (
            engines.note(os.path.join(item.folder, name))
            for name in (wire.ATTACHMENT, wire.SIGNATURE)
        )
        return accept(layout, Attachment(payload, signature)) == item.record
    except (OSError, NotVerified):
        return False


def place(layout: Layout, attachment: Attachment, release: str) -> Dict[str, Any]:
    """Keep an engine that was handed over, whose plan is a blob of the store.

    Args:
        release: the digest of a prepared one, which wants that engine on this device.

    Returns:
        {"placed": whether it is new here, "record": its record}.

    Raises:
        NotVerified: signature, digest or size are wrong. Refusal: it is of another key.
        Invalid: the release is not prepared, or needs no engine.
    """
    record = accept(layout, attachment)
    wanted = building.wanted(layout, release)
    if record.key != wanted:
        raise Refusal(
            "the engine is for another device or release",
            "",
            "; ".join(wanted.differences(record.key)),
        )
    with engines.owned(layout):
        placed = _place(layout, attachment, record)
    return {"placed": placed, "record": record.to_json()}


def _place(layout: Layout, attachment: Attachment, record: Record) -> bool:
    blobs.verify(layout, record.engine)
    blob = layout.blob(record.engine)
    if os.stat(blob).st_size != record.size:
        raise NotVerified("the plan's size is not that of its record", record.engine)
    target = wire.folder(layout.engines, record.key)
    there = engines.at(target)
    new = there is None or not engines.whole(there)
    if new:
        remove(target)
        _lay_out(layout, target, attachment, record)
    if os.stat(blob).st_nlink <= 2:  # the folder's own link, and no release's
        os.unlink(blob)
    return new


def _lay_out(layout: Layout, target: str, attachment: Attachment, record: Record) -> None:
    partial = os.path.join(layout.engines, PARTIAL + os.path.basename(target))
    remove(partial)
    os.mkdir(partial, 0o755)
    try:
        os.link(layout.blob(record.engine), os.path.join(partial, wire.PLAN))
        told = wire.canonical(record.to_json())
        for name, data in (
            (wire.RECORD, told),
            (wire.ATTACHMENT, attachment.payload),
            (wire.SIGNATURE, attachment.signature),
        ):
            FILES.write(os.path.join(partial, name), data)
        FILES.rename(partial, target)
    except BaseException:
        remove(partial)
        raise
