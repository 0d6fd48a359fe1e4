"""Section `optimizer`: how a gradient becomes a change of the weights."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from orchestrator.config.schema import about, check_fields
from orchestrator.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """The update rule and its constants."""

    name: Literal["sgd", "lars", "rmsprop_warmup"] = field(
        default="sgd", metadata=about("update rule")
    )
    momentum: Fraction = field(
        default=Fraction(9, 10), metadata=about("share of the last change kept", low=0, below=1)
    )
    nesterov: bool = field(default=False, metadata=about("sgd, lars: look one momentum step ahead"))
    momentum_form: Literal["scaled", "unscaled"] = field(
        default="unscaled",
        metadata=about(
            "scaled: the rate enters the momentum; unscaled: the rate multiplies it at the end "
            "(same as scaled with momentum correction)"
        ),
    )
    weight_decay: Fraction = field(
        default=Fraction(0), metadata=about("added to the gradient: this times w", low=0, high=1)
    )
    exclude: tuple[str, ...] = field(
        default=("norm", "bias"),
        metadata=about(
            "parameters without decay and trust ratio: norm, bias, or patterns such as fc.*"
        ),
    )
    eta: Fraction = field(
        default=Fraction(1, 1000), metadata=about("lars: trust coefficient", above=0, high=1)
    )
    epsilon: Fraction = field(
        default=Fraction(0),
        metadata=about("lars: added to the ratio's denominator", low=0, high=1),
    )
    rms_lr: Fraction = field(
        default=Fraction(3, 10_000),
        metadata=about("rmsprop_warmup: learning rate of the RMSprop part", above=0, high=1),
    )
    rms_decay: Fraction = field(
        default=Fraction(99, 100),
        metadata=about("rmsprop_warmup: share of the second moment kept", low=0, below=1),
    )
    rms_epsilon: Fraction = field(
        default=Fraction(1, 100_000_000),
        metadata=about("rmsprop_warmup: added to the second moment's root", above=0, high=1),
    )
    blend_center: Fraction = field(
        default=Fraction(10),
        metadata=about("rmsprop_warmup: epoch at which both parts weigh one half", low=0),
    )
    blend_period: Fraction = field(
        default=Fraction(5),
        metadata=about("rmsprop_warmup: epochs the change to SGD takes", above=0),
    )

    def __post_init__(self) -> None:
        check_fields(self, "optimizer")
        if self.nesterov and self.name == "rmsprop_warmup":
            raise ConfigError(
                "optimizer.nesterov: true is not allowed with optimizer.name rmsprop_warmup; "
                "use false, or sgd or lars"
            )
