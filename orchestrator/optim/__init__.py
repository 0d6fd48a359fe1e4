"""Optimizers and learning-rate schedules: exact rationals in, scalars of the kernels out."""

from orchestrator.optim.batches import BatchPlan, Position, plan_batches
from orchestrator.optim.lars import Norms, norm, norm_shift, trust_ratio
from orchestrator.optim.plan import Scalar, Scalars, StepRates, UpdatePlan, plan_updates
from orchestrator.optim.plateau import ScheduleState
from orchestrator.optim.rates import Rates
from orchestrator.optim.rmsprop_warmup import RmspropScalars, rmsprop_scalars, rmsprop_update

__all__ = [
    "BatchPlan",
    "Norms",
    "Position",
    "Rates",
    "RmspropScalars",
    "Scalar",
    "Scalars",
    "ScheduleState",
    "StepRates",
    "UpdatePlan",
    "norm",
    "norm_shift",
    "plan_batches",
    "plan_updates",
    "rmsprop_scalars",
    "rmsprop_update",
    "trust_ratio",
]
