"""Section `model`: which network is trained."""

from dataclasses import dataclass, field
from fractions import Fraction

from orchestrator.config.schema import about, check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The network, its input and how it starts."""

    name: str = field(metadata=about("network: resnet50, resnet20, vgg16, alexnet, mlp, ..."))
    image_size: int = field(
        metadata=about("height and width of the input, pixels", low=1, high=4096)
    )
    classes: int | None = field(
        default=None,
        metadata=about("outputs of the last layer; null: as many as the data has", low=2),
    )
    channels: int = field(default=3, metadata=about("colour channels of the input", low=1, high=16))
    zero_init_last_gamma: bool = field(
        default=True,
        metadata=about("residual networks: gamma of each block's last batch norm starts at 0"),
    )
    batch_norm: bool = field(
        default=True, metadata=about("vgg: batch norm after every convolution")
    )
    dropout: Fraction = field(
        default=Fraction(1, 2),
        metadata=about("vgg, alexnet: share of activations dropped", low=0, below=1),
    )
    hidden: tuple[int, ...] = field(
        default=(512,), metadata=about("mlp: units of each hidden layer", low=1)
    )
    bn_momentum: Fraction = field(
        default=Fraction(1, 10),
        metadata=about(
            "weight of the newest step in batch norm's running statistics", above=0, high=1
        ),
    )
    bn_epsilon: Fraction = field(
        default=Fraction(1, 100_000),
        metadata=about("added to a variance before its square root", above=0, high=1),
    )
    weights: str | None = field(
        default=None,
        metadata=about(
            "safetensors file with torchvision's names to start from; null: initialise",
            numeric=False,
        ),
    )

    def __post_init__(self) -> None:
        check_fields(self, "model")
