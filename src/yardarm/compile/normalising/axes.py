"""Names of axes: TensorRT takes axes of one name for equally long."""

from __future__ import annotations

from collections import Counter

from onnx import ModelProto

from yardarm.compile.normalising import graphs


def named_apart(model: ModelProto) -> ModelProto:
    """A model in which no input names two of its axes alike, as exporters do with "?".

    A name that several inputs share, such as a batch's, stays: there it says something.
    """
    changed = graphs.copied(model)
    for value in changed.graph.input:
        dims = value.type.tensor_type.shape.dim
        often = Counter(dim.dim_param for dim in dims if dim.dim_param)
        for axis, dim in enumerate(dims):
            if often[dim.dim_param] > 1:
                dim.dim_param = f"{value.name}_{axis}"
    return changed
