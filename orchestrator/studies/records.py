"""Published trainings that a prediction is laid beside, each with its source.

Every figure carries how it is known. Images a second are what the source states, or epochs times
the images of an epoch over the time, which counts evaluations and start-up as training: a lower
bound of the rate. Energy is the nominal (thermal design) power of the processors alone over the
time: without hosts, memory, network, cooling, and with every processor at its limit.
"""

from dataclasses import dataclass
from enum import StrEnum

IMAGENET_IMAGES = 1_281_167
"""Training images of ImageNet-1k (mlcommons/training, ``imagenet_preprocessing.py``)."""

MINUTE = 60
HOUR = 3600


class Known(StrEnum):
    """Where a figure comes from."""

    STATED = "stated"
    NOTED = "from others' notes"
    RECALLED = "recalled, unchecked"
    DERIVED = "derived"


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and how it is known."""

    value: float
    known: Known = Known.STATED


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor of the published systems.

    Attributes
    ----------
    name : as the vendor writes it.
    watts : nominal power of one: thermal design power.
    source : of the power.
    """

    name: str
    watts: float
    source: str


P40 = Processor("Tesla P40", 250, "NVIDIA's data sheet")
P100 = Processor("Tesla P100", 300, "NVIDIA's data sheet, SXM2")
V100 = Processor("Tesla V100", 300, "NVIDIA's data sheet, SXM2")
KNL = Processor("Xeon Phi 7250", 215, "Intel's data sheet")
TPU_V2 = Processor("TPU v2 chip", 280, "Jouppi 2020, Communications of the ACM 63 (7)")
TPU_V3 = Processor("TPU v3 chip", 450, "Jouppi 2020, Communications of the ACM 63 (7)")
XEON_NODE = Processor(
    "36-core Xeon node", 290, "two processors of 145 W assumed; the model is not given"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One published training.

    Attributes
    ----------
    name : first author and year, or benchmark.
    model : the network, by the name a configuration gives it.
    processor, count : what it ran on.
    batch : images a step, the largest where it grows; None where not given.
    epochs : passes over ImageNet; None where only a speed is published.
    seconds : time to train; None where only a speed is published.
    stated_rate : images/s that the source states; None where it states none.
    accuracy : top-1 on the validation images, per cent; None where not given.
    source : where the figures are from.
    """

    name: str
    model: str
    processor: Processor
    count: int
    batch: Figure | None = None
    epochs: Figure | None = None
    seconds: Figure | None = None
    stated_rate: Figure | None = None
    accuracy: Figure | None = None
    source: str

    @property
    def images_per_s(self) -> Figure | None:
        """Return the speed: stated, or derived from time and epochs; None where neither is."""
        if self.stated_rate:
            return self.stated_rate
        if self.epochs is None or self.seconds is None:
            return None
        return Figure(self.epochs.value * IMAGENET_IMAGES / self.seconds.value, Known.DERIVED)

    @property
    def power_w(self) -> float:
        """Return the nominal power of all processors."""
        return self.count * self.processor.watts

    @property
    def energy_j(self) -> float | None:
        """Return the nominal energy to train; None where no time is published."""
        return None if self.seconds is None else self.power_w * self.seconds.value

    @property
    def joules_per_image(self) -> float | None:
        """Return nominal power over speed; None where no speed is known."""
        rate = self.images_per_s
        return None if rate is None else self.power_w / rate.value

    def as_json(self) -> dict[str, object]:
        """Return all figures, with how each is known."""

        def shown(figure: Figure | None) -> dict[str, object] | None:
            return None if figure is None else {"value": figure.value, "known": str(figure.known)}

        return {
            "name": self.name,
            "model": self.model,
            "processor": self.processor.name,
            "count": self.count,
            "nominal_watts_each": self.processor.watts,
            "batch": shown(self.batch),
            "epochs": shown(self.epochs),
            "train_s": shown(self.seconds),
            "images_per_s": shown(self.images_per_s),
            "top1_percent": shown(self.accuracy),
            "energy_j": self.energy_j,
            "joules_per_image": self.joules_per_image,
            "source": self.source,
        }


def _noted(value: float) -> Figure:
    return Figure(value, Known.NOTED)


def _recalled(value: float) -> Figure:
    return Figure(value, Known.RECALLED)


RECORDS: tuple[Record, ...] = (
    Record(
        name="He 2015",
        model="resnet50",
        processor=P100,
        count=8,
        batch=_recalled(256),
        epochs=_recalled(90),
        seconds=_noted(29 * HOUR),
        accuracy=_recalled(75.3),
        source="recipe: arXiv 1512.03385; 29 hours on 8 processors: later tables, after the "
        "baseline of Goyal 2017",
    ),
    Record(
        name="Goyal 2017",
        model="resnet50",
        processor=P100,
        count=256,
        batch=Figure(8192),
        epochs=_recalled(90),
        seconds=Figure(HOUR),
        accuracy=_recalled(76.26),
        source="arXiv 1706.02677",
    ),
    Record(
        name="Smith 2017",
        model="resnet50",
        processor=TPU_V2,
        count=128,
        batch=_recalled(16_384),
        epochs=_recalled(90),
        seconds=Figure(30 * MINUTE),
        accuracy=Figure(76.1),
        source="arXiv 1711.00489: half a pod, under 30 minutes; a pod has 256 chips",
    ),
    Record(
        name="Akiba 2017",
        model="resnet50",
        processor=P100,
        count=1024,
        batch=Figure(32_768),
        epochs=Figure(90),
        seconds=Figure(15 * MINUTE),
        accuracy=_recalled(74.9),
        source="arXiv 1711.04325",
    ),
    Record(
        name="You 2017",
        model="resnet50",
        processor=KNL,
        count=2048,
        batch=Figure(32_768),
        epochs=Figure(64),
        seconds=Figure(14 * MINUTE),
        accuracy=Figure(74.9),
        source="arXiv 1709.05011",
    ),
    Record(
        name="Jia 2018",
        model="resnet50",
        processor=P40,
        count=2048,
        batch=_recalled(65_536),
        epochs=_recalled(90),
        seconds=Figure(6.6 * MINUTE),
        accuracy=Figure(75.8),
        source="arXiv 1807.11205",
    ),
    Record(
        name="Mikami 2018",
        model="resnet50",
        processor=V100,
        count=2176,
        batch=_recalled(69_632),
        epochs=_recalled(90),
        seconds=Figure(224),
        accuracy=_recalled(75.03),
        source="arXiv 1811.05233, version 1; the batch grows while training; number of processors "
        "recalled, unchecked",
    ),
    Record(
        name="Ying 2018",
        model="resnet50",
        processor=TPU_V3,
        count=1024,
        batch=Figure(32_768),
        epochs=Figure(91, Known.DERIVED),
        seconds=Figure(2.2 * MINUTE),
        stated_rate=Figure(1.05e6),
        accuracy=Figure(76.3),
        source="arXiv 1811.06992; epochs from the steps in tensorflow/tpu",
    ),
    Record(
        name="MLPerf v0.6",
        model="resnet50",
        processor=TPU_V3,
        count=1024,
        batch=Figure(32_768),
        epochs=Figure(72),
        seconds=Figure(77.0),
        accuracy=Figure(75.9),
        source="mlcommons/training_results_v0.6, Google, 2048 cores: from run_start to run_stop",
    ),
    Record(
        name="Nita 2018, GPUs",
        model="vgg16",
        processor=V100,
        count=6,
        stated_rate=_noted(2052),
        source="Nita 2018, as quoted by others: one node with six processors",
    ),
    Record(
        name="Nita 2018, CPUs",
        model="vgg16",
        processor=XEON_NODE,
        count=1,
        stated_rate=_noted(18),
        source="Nita 2018, as quoted by others: one node",
    ),
)
"""All published trainings, oldest first."""


def records_of(model: str) -> tuple[Record, ...]:
    """Return the published trainings of a network; empty where there is none."""
    return tuple(record for record in RECORDS if record.model == model)
