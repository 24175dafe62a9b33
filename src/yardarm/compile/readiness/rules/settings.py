"""Settings, inputs and outputs of single operators that TensorRT's parser doesn't take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from yardarm.compile.readiness.findings import Told, rule
from yardarm.compile.readiness.reading import Node, Reading

PARSED = "seen refused by TensorRT-RTX 1.7's parser; onnx-tensorrt docs/operators.md"

TAKEN: Mapping[tuple[str, str], tuple[object, ...]] = {
    ("Attention", "softcap"): (0.0,),
    ("BatchNormalization", "training_mode"): (0,),
    ("LpPool", "p"): (1, 2),
    ("Resize", "keep_aspect_ratio_policy"): ("stretch",),
    ("ScatterND", "reduction"): ("none",),
    ("TensorScatter", "mode"): ("linear",),
}
"""For an attribute the values that are taken; where it is absent its default is one of them."""

REDUCTIONS = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)
CONSTANT: Mapping[str, tuple[int, str]] = {
    **dict.fromkeys(REDUCTIONS, (1, "axes")),
    "Dropout": (2, "training_mode"),
    "OneHot": (1, "depth"),
    "STFT": (1, "frame_step"),
    "Squeeze": (1, "axes"),
    "Unsqueeze": (1, "axes"),
}
"""For an operator the input that has to be known at build time, and its name."""

ONE_OUTPUT = "Attention", "LayerNormalization"
SHAPES = frozenset({"Shape", "Size"})  # known at build time where sizes are
FAR = 1000  # nodes on the way back from an input


@rule(
    "setting",
    "error",
    mark="P",
    source=PARSED,
    says="Attributes have values that are taken: "
    + "; ".join(f"{op} {name} {', '.join(map(str, v))}" for (op, name), v in TAKEN.items())
    + ".",
)
def setting(reading: Reading) -> Iterator[Told]:
    for (op, name), taken in TAKEN.items():
        for node in reading.of(op):
            have = node.attribute(name, taken[-1])
            if have not in taken:
                words = " or ".join(map(str, taken))
                yield Told(
                    node, f"{name} is {have}; TensorRT takes {words}", f"export with {words}"
                )


@rule(
    "constant-input",
    "error",
    mark="P",
    source=PARSED,
    says="Known when the engine is built: axes of reductions, Squeeze and Unsqueeze, depth of "
    "OneHot, frame_step of STFT, training_mode of Dropout.",
)
def constant_input(reading: Reading) -> Iterator[Told]:
    fed = set(reading.inputs())
    for node in reading.of(*CONSTANT):
        place, name = CONSTANT[node.op]
        if node.input(place) and _comes_from(node, place, fed):
            what = f"its {name} come from an input of the model"
            yield Told(node, what, "make them a constant of the model")


def _comes_from(node: Node, place: int, fed: set[str]) -> bool:
    """Whether an input depends on what is fed by more than its shape."""
    waiting, seen = [(node, node.input(place))], set[str]()
    while waiting and len(seen) < FAR:
        reader, name = waiting.pop()
        maker = reader.scope.maker(name)
        if name in seen or reader.scope.tensor(name) is not None:
            continue
        seen.add(name)
        if maker is None:
            if name in fed:
                return True
        elif maker.op not in SHAPES:
            waiting += [(maker, each) for each in maker.proto.input if each]
    return False


@rule(
    "extra-output",
    "error",
    mark="P",
    source=PARSED,
    says="Attention and LayerNormalization have their first output alone.",
)
def extra_output(reading: Reading) -> Iterator[Told]:
    for node in reading.of(*ONE_OUTPUT):
        if any(node.proto.output[1:]):
            extra = ", ".join(name for name in node.proto.output[1:] if name)
            what = f"it also makes {extra}; TensorRT has its first output alone"
            yield Told(node, what, "export without the outputs that nothing needs")


RULES = (setting, constant_input, extra_output)
