"""The NumPy oracle: every kernel as plain exact integer arithmetic (docs/numerics.md).

The compiled kernels have the same names and signatures, and give the same bits.
"""

from orchestrator.model.ops_apply import apply_backward, apply_forward, branch
from orchestrator.model.ops_conv import (
    accumulate,
    channel_sums,
    conv_forward,
    conv_input_gradient,
    conv_weight_gradient,
)
from orchestrator.model.ops_loss import evaluate_logits, loss_targets, softmax_loss
from orchestrator.model.ops_norm import (
    affine_backward,
    affine_backward_sums,
    affine_forward,
    channel_statistics,
)
from orchestrator.model.ops_pool import (
    avg_pool_forward,
    dropout,
    max_pool_forward,
    normalise,
    scale16,
    window_backward,
)
from orchestrator.model.ops_update import bits_i32, quantise, sum_squares, update

__all__ = [
    "accumulate",
    "affine_backward",
    "affine_backward_sums",
    "affine_forward",
    "apply_backward",
    "apply_forward",
    "avg_pool_forward",
    "bits_i32",
    "branch",
    "channel_statistics",
    "channel_sums",
    "conv_forward",
    "conv_input_gradient",
    "conv_weight_gradient",
    "dropout",
    "evaluate_logits",
    "loss_targets",
    "max_pool_forward",
    "normalise",
    "quantise",
    "scale16",
    "softmax_loss",
    "sum_squares",
    "update",
    "window_backward",
]
