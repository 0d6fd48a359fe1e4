"""Whether a convolution's smallest tile fits a core's data memory."""

from dataclasses import replace

from orchestrator.compiler.layers import Conv, Network
from orchestrator.errors import ArgumentError
from orchestrator.model.shapes import ConvShape
from orchestrator.virtual.conv_geometry import (
    WORKSPACE,
    WORKSPACE_BYTES,
    Geometry,
    Operands,
    Plan,
    divide_workspace,
    forward_geometry,
    input_gradient_geometry,
)

STRETCHES = (1, 2, 4, 8)


def check_data_memory(network: Network) -> int:
    """Return the bytes of data memory that the most demanding convolution needs at least.

    A tile is one row of the result, of one chunk of channels from one chunk of inputs; what a core
    takes beyond that is speed (`orchestrator.virtual.conv_plan`). Rows too long for it are cut in
    up to 8 stretches, each with a border of its own.

    Raises
    ------
    ArgumentError
        One does not fit: it is named, with what it needs.
    """
    most = 0
    for op in network.convolutions:
        needs = [_least(forward_geometry(_shape(op)), op)]
        if not op.first:
            needs.append(_least(input_gradient_geometry(_shape(op)), op))
        if max(needs) > WORKSPACE_BYTES:
            raise ArgumentError(
                f"{op.name}: one row of its result needs {max(needs)} B of a core's data memory, "
                f"which has {WORKSPACE_BYTES} B for it"
            )
        most = max(most, *needs)
    return most


def _shape(op: Conv) -> ConvShape:
    if op.dense:
        return ConvShape.dense(1, op.x.size, op.y.channels)
    (r, s), x = op.kernel, op.x
    return ConvShape.of(1, x.height, x.width, x.channels, op.y.channels, r, s, op.stride, op.pad)


def _least(geometry: Geometry, op: Conv) -> int:
    """Return the bytes of the longest stretch of a row that fits, or of the shortest there is."""
    plan = Plan(1, min(geometry.out_height, geometry.classes), 1, 1, 1, 1, 1)
    operands = Operands(addend=False, bias=op.bias is not None, general=False)
    needed = 0
    for stretches in STRETCHES:
        narrow = replace(geometry, out_width=max(1, -(-geometry.out_width // stretches)))
        needed = divide_workspace(narrow, operands, plan).end - WORKSPACE
        if needed <= WORKSPACE_BYTES:
            break
    return needed
