"""The plan of a sum over boards: schedules, what they cost, and which is taken. Pure."""

from orchestrator.collectives.plan.host import host_path, host_rates
from orchestrator.collectives.plan.overlap import bucket_tensors
from orchestrator.collectives.plan.planner import BucketPlan, Planner, link_algorithms
from orchestrator.collectives.plan.schedule import Schedule
from orchestrator.collectives.plan.traffic import link_rates, simulate
from orchestrator.collectives.plan.wire import Wire

__all__ = [
    "BucketPlan",
    "Planner",
    "Schedule",
    "Wire",
    "bucket_tensors",
    "host_path",
    "host_rates",
    "link_algorithms",
    "link_rates",
    "simulate",
]
