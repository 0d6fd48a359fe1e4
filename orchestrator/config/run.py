"""The whole configuration of a run, and its section `run`."""

from dataclasses import dataclass, field

from orchestrator.config.collective import CollectiveConfig
from orchestrator.config.data import DataConfig
from orchestrator.config.lr_schedule import LrScheduleConfig
from orchestrator.config.model import ModelConfig
from orchestrator.config.optimizer import OptimizerConfig
from orchestrator.config.schema import about, check_fields, shown
from orchestrator.config.slice import SliceConfig
from orchestrator.config.train import TrainConfig
from orchestrator.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSection:
    """Where a run leaves its files."""

    dir: str | None = field(
        default=None, metadata=about("run directory; null: runs/<name>", numeric=False)
    )
    name: str | None = field(
        default=None,
        metadata=about("name of the run; null: the configuration file's", numeric=False),
    )

    def __post_init__(self) -> None:
        check_fields(self, "run")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Everything a training depends on besides the data itself."""

    model: ModelConfig = field(metadata=about("the network"))
    data: DataConfig = field(metadata=about("the images"))
    train: TrainConfig = field(metadata=about("batches, length, evaluation, checkpoints"))
    optimizer: OptimizerConfig = field(
        default_factory=OptimizerConfig, metadata=about("the update rule")
    )
    lr_schedule: LrScheduleConfig = field(metadata=about("the learning rate"))
    slice: SliceConfig = field(default_factory=SliceConfig, metadata=about("boards of a rank"))
    collective: CollectiveConfig = field(
        default_factory=CollectiveConfig, metadata=about("exchange between ranks")
    )
    run: RunSection = field(default_factory=RunSection, metadata=about("files of the run"))

    def __post_init__(self) -> None:
        check_fields(self, "")
        channels = self.model.channels
        if len(self.data.mean) != channels:
            raise ConfigError(
                f"data.mean: {len(self.data.mean)} values, but model.channels is {channels}; "
                "data.mean and data.std need one value per channel"
            )
        if self.data.augmentation == "imagenet" and self.data.resize < self.model.image_size:
            raise ConfigError(
                f"data.resize: {self.data.resize} is smaller than model.image_size "
                f"{self.model.image_size}; evaluation crops image_size from it"
            )
        self._check_schedule()

    def _check_schedule(self) -> None:
        """Check that warm-up and decay end inside the training."""
        schedule, epochs = self.lr_schedule, self.train.epochs
        if schedule.warmup_epochs > epochs or (
            schedule.warmup_epochs == epochs
            and schedule.decay in ("polynomial", "cosine")
            and schedule.decay_epochs is None
        ):
            raise ConfigError(
                f"lr_schedule.warmup_epochs: {shown(schedule.warmup_epochs)} does not end before "
                f"train.epochs {epochs}; shorten the warm-up or train longer"
            )
