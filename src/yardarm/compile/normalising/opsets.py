"""Ways from a model's operator set into those that a target takes."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import ModelProto, helper

from yardarm.compile.normalising import graphs, lowering, shapes
from yardarm.compile.sources import checking, importing
from yardarm.errors import Unsupported

IR_OF_DEVICES = 10  # what onnxruntime reads since 1.18; newer operator sets ask for more
RESIZE_TOLD = 11  # since when Resize says how it takes positions
STEPS = (13, 14, 15, 17, 18, 21)  # where ONNX changed what nets are made of


def ways(model: ModelProto, lowest: int, highest: int) -> Iterator[ModelProto]:
    """The model in operator sets of [lowest, highest], the nearest first.

    The converter is not always right, and a model whose operators mean the same in both sets
    needs none: so each set is tried with it and without. The caller judges by the answers.

    Raises:
        Unsupported: no way; quotes why, after the last one.
    """
    have = importing.opset(model)
    if lowest <= have <= highest:
        yield model
        return
    reasons, found = [], False
    typed = _without_defaults(shapes.inferred(model))
    for want in _targets(have, lowest, highest):
        for way in (_converted, _stamped, *([_lowered] if want < have else [])):
            try:
                yield way(typed, want)
                found = True
            except Exception as error:  # noqa: BLE001  the converter raises what its C++ meets
                reasons.append(_told(error))
    if not found:
        raise Unsupported(
            f"can't be converted from operator set {have} to {want}: {reasons[0]}",
            where="model",
            hint=f"export it again with an operator set from {lowest} to {highest}",
        )


def _told(error: Exception) -> str:
    """The reason without the place in the converter's source."""
    return str(error).strip().splitlines()[0].rsplit(" failed: ")[-1][:200]


def converted(model: ModelProto, want: int) -> ModelProto | None:
    """The model in the operator set `want`; None where ONNX's converter can't do it."""
    try:
        return _converted(model, want)
    except Exception:  # noqa: BLE001  as above
        return None


def _without_defaults(model: ModelProto) -> ModelProto:
    """Settings that say what holds anyway are left out: other sets may not know them."""
    version = importing.opset(model)
    for node in graphs.nodes(model.graph):
        if node.domain not in graphs.STANDARD:
            continue
        known = onnx.defs.get_schema(node.op_type, version, "").attributes
        told = [
            a
            for a in node.attribute
            if known[a.name].default_value.SerializeToString() != a.SerializeToString()
        ]
        if len(told) < len(node.attribute):
            kept = [onnx.AttributeProto.FromString(a.SerializeToString()) for a in told]
            del node.attribute[:]
            node.attribute.extend(kept)
    return model


def _targets(have: int, lowest: int, highest: int) -> list[int]:
    if have > highest:
        return [highest]
    return [lowest, *(step for step in STEPS if lowest < step <= highest)]


def _converted(model: ModelProto, want: int) -> ModelProto:
    changed = onnx.version_converter.convert_version(model, want)
    if importing.opset(model) < RESIZE_TOLD <= want:
        _resize_as_before(changed)
    return _checked(changed)


def _resize_as_before(model: ModelProto) -> None:
    """Before set 11 Resize and Upsample took positions as they are; the converter leaves out
    that this is no longer what an unmarked Resize does."""
    for node in graphs.nodes(model.graph):
        told = {entry.name for entry in node.attribute}
        if node.op_type == "Resize" and "coordinate_transformation_mode" not in told:
            kept = [entry for entry in node.attribute if entry.name != "nearest_mode"]
            del node.attribute[:]
            node.attribute.extend(kept)
            node.attribute.append(
                helper.make_attribute("coordinate_transformation_mode", "asymmetric")
            )
            node.attribute.append(helper.make_attribute("nearest_mode", "floor"))


def _stamped(model: ModelProto, want: int) -> ModelProto:
    """Only the number is changed: right where the checker and the answers agree."""
    changed = graphs.copied(model)
    for entry in changed.opset_import:
        if entry.domain in graphs.STANDARD:
            entry.version = want
    return _checked(changed)


def _lowered(model: ModelProto, want: int) -> ModelProto:
    return _checked(lowering.lowered(model, want))


def _checked(model: ModelProto) -> ModelProto:
    if told := checking.breach(model):
        raise ValueError(told)
    return model


def settle(model: ModelProto) -> None:
    """Name only the operator sets that are used, and no newer file format than they need."""
    used = {node.domain for node in graphs.nodes(model.graph)} | set(graphs.STANDARD)
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    needed = helper.find_min_ir_version_for(kept, ignore_unknown=True)
    model.ir_version = max(needed, min(model.ir_version, IR_OF_DEVICES))
