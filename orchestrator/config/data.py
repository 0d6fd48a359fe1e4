"""Section `data`: where the images come from and how they are prepared."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from orchestrator.config.schema import about, check_fields, shown
from orchestrator.errors import ConfigError

WITHOUT_PATH = ("digits", "synthetic", "memory")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """The images, their augmentation and how they are read."""

    source: Literal[
        "digits", "folder", "cifar10", "webdataset", "tfrecord", "synthetic", "memory"
    ] = field(
        metadata=about(
            "kind of data set; digits and synthetic need no path; memory: arrays given in Python"
        )
    )
    path: str | None = field(
        default=None,
        metadata=about(
            "folder, tar file or shards of the data set, relative to the working directory",
            numeric=False,
        ),
    )
    train_split: str = field(
        default="train",
        metadata=about("folder inside `path` with the images to train on; or names of shards"),
    )
    eval_split: str = field(
        default="val",
        metadata=about(
            "folder inside `path` with the images to evaluate on (cifar10: test); "
            "or names of shards"
        ),
    )
    augmentation: Literal["none", "cifar", "imagenet"] = field(
        default="none",
        metadata=about("none; cifar: pad, random crop; imagenet: random resized crop"),
    )
    mean: tuple[Fraction, ...] = field(
        default=(Fraction("0.485"), Fraction("0.456"), Fraction("0.406")),
        metadata=about("mean of each channel, pixels in 0..1", low=0, high=1),
    )
    std: tuple[Fraction, ...] = field(
        default=(Fraction("0.229"), Fraction("0.224"), Fraction("0.225")),
        metadata=about("standard deviation of each channel, pixels in 0..1", above=0, high=10),
    )
    crop_area: tuple[Fraction, Fraction] = field(
        default=(Fraction(8, 100), Fraction(1)),
        metadata=about(
            "imagenet: least and greatest area of a crop, share of the image", above=0, high=1
        ),
    )
    crop_aspect: tuple[Fraction, Fraction] = field(
        default=(Fraction(3, 4), Fraction(4, 3)),
        metadata=about("imagenet: least and greatest width / height of a crop", above=0, high=16),
    )
    flip: bool = field(
        default=True,
        metadata=about("cifar, imagenet: mirror left to right every other time"),
    )
    resize: int = field(
        default=256,
        metadata=about(
            "imagenet: short side before evaluation's centre crop for an input of 224 pixels; "
            "in proportion for others",
            low=1,
        ),
    )
    pad: int = field(default=4, metadata=about("cifar: padding before the crop, pixels", low=0))
    on_error: Literal["stop", "skip"] = field(
        default="stop",
        metadata=about("what a damaged image does: stop the run, or be skipped", numeric=False),
    )
    workers: int = field(
        default=2, metadata=about("decoding threads of a rank", low=1, high=256, numeric=False)
    )
    prefetch: int = field(
        default=4, metadata=about("ghost batches prepared ahead", low=1, high=1024, numeric=False)
    )
    train_samples: int | None = field(
        default=None,
        metadata=about("use only so many training images; size of a synthetic set", low=1),
    )
    eval_samples: int | None = field(
        default=None,
        metadata=about("use only so many evaluation images; size of a synthetic set", low=1),
    )

    def __post_init__(self) -> None:
        check_fields(self, "data")
        for name in ("crop_area", "crop_aspect"):
            least, greatest = getattr(self, name)
            if least > greatest:
                raise ConfigError(
                    f"data.{name}: {shown((least, greatest))} is not allowed; "
                    "write the smaller value first"
                )
        if len(self.mean) != len(self.std):
            raise ConfigError(
                f"data.std: {len(self.std)} values, but data.mean has {len(self.mean)}; "
                "both need one value per channel"
            )
        if self.path is None and self.source not in WITHOUT_PATH:
            raise ConfigError(f"data.path: missing; data.source {self.source} needs one")
        if self.source == "synthetic":
            for name in ("train_samples", "eval_samples"):
                if getattr(self, name) is None:
                    raise ConfigError(f"data.{name}: missing; data.source synthetic needs a size")
