"""Configuration: one typed, documented schema for every run."""

from orchestrator.config.collective import CollectiveConfig
from orchestrator.config.data import DataConfig
from orchestrator.config.load import (
    dump_config,
    load_config,
    numeric_differences,
    parse_config,
)
from orchestrator.config.lr_schedule import LrScheduleConfig, PieceConfig, PlateauConfig
from orchestrator.config.model import ModelConfig
from orchestrator.config.optimizer import OptimizerConfig
from orchestrator.config.run import RunConfig, RunSection
from orchestrator.config.slice import SliceConfig
from orchestrator.config.train import EarlyStopConfig, TrainConfig

__all__ = [
    "CollectiveConfig",
    "DataConfig",
    "EarlyStopConfig",
    "LrScheduleConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PieceConfig",
    "PlateauConfig",
    "RunConfig",
    "RunSection",
    "SliceConfig",
    "TrainConfig",
    "dump_config",
    "load_config",
    "numeric_differences",
    "parse_config",
]
