"""Residual networks: ResNet-18 to -152 for ImageNet, CIFAR's, and a small one for digits.

All use batch norm after every convolution, projection shortcuts (a 1x1 convolution with batch norm,
option B of the paper) wherever the shape changes, and no bias in convolutions. Module names are
torchvision's.

References
----------
He, Zhang, Ren, Sun: "Deep residual learning for image recognition", CVPR 2016: table 1 and section
3.4 (ImageNet), section 4.2 (CIFAR-10). Stride on the 3x3 convolution of a bottleneck ("v1.5"), zero
start of the last gamma and the narrow start of the classifier (sd 0.01): Goyal et al., "Accurate,
large minibatch SGD", 2017, section 5.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from orchestrator.model.distributions import HeNormal, Normal
from orchestrator.model.graph import Graph, build_graph
from orchestrator.model.layers import (
    Add,
    BatchNorm,
    Conv2D,
    Dense,
    GlobalAvgPool,
    Input,
    MaxPool2D,
    ReLU,
    Tensor,
)

IMAGENET_DEPTHS = {
    18: (False, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
    101: (True, (3, 4, 23, 3)),
    152: (True, (3, 8, 36, 3)),
}
"""Depth: (bottleneck blocks?, blocks of each of the four stages). He et al., table 1."""

CLASSIFIER_SD = Fraction(1, 100)
_EXPANSION = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class NormOptions:
    """Batch-norm settings of a network; `zero_last_gamma` starts each block as its shortcut."""

    momentum: Fraction = Fraction(1, 10)
    epsilon: Fraction = Fraction(1, 100_000)
    zero_last_gamma: bool = True


def imagenet_resnet(
    depth: int, image: Sequence[int], classes: int, norm: NormOptions | None = None
) -> Graph:
    """Return ResNet-`depth` (18, 34, 50, 101 or 152) for images of shape `image` (H, W, C).

    Bottleneck blocks have their stride on the 3x3 convolution (v1.5). Any image size works;
    224 x 224 x 3 is the published one.
    """
    bottleneck, blocks = IMAGENET_DEPTHS[depth]
    builder = _Builder(norm or NormOptions(), bottleneck)
    inputs = Input(image)
    x = builder.conv_norm(inputs, 64, 7, 2, 3, "conv1", "bn1")
    x = MaxPool2D(3, 2, 1, name="maxpool")(ReLU(name="relu")(x))
    for stage, count in enumerate(blocks):
        x = builder.stage(x, f"layer{stage + 1}", 64 << stage, count, 1 if stage == 0 else 2)
    return _classifier(inputs, x, classes)


def cifar_resnet(
    depth: int,
    image: Sequence[int],
    classes: int,
    norm: NormOptions | None = None,
    *,
    bottleneck: bool = False,
) -> Graph:
    """Return the CIFAR ResNet of `depth` = 6n + 2 (8, 20, 32, 44, 56), or 9n + 2 with bottlenecks.

    A 3x3 stem of 16 channels, then three stages of n blocks with 16, 32 and 64 channels (He et al.,
    section 4.2). The bottleneck variant (`depth` 29 is n = 3) has blocks of 1x1, 3x3 and 1x1
    convolutions, the last four times as wide: 64, 128 and 256 channels out. Shortcuts are 1x1
    projections where the shape changes; the paper's CIFAR networks pad with zeros instead, and so
    have a few parameters less.
    """
    blocks = (depth - 2) // (9 if bottleneck else 6)
    return _small_resnet(image, classes, norm or NormOptions(), [blocks] * 3, bottleneck)


def digits_resnet(image: Sequence[int], classes: int, norm: NormOptions | None = None) -> Graph:
    """Return a residual network for 8 x 8 digits: a 3x3 stem, blocks of 16 and 32 channels.

    The second block halves the map to 4 x 4. 19,706 parameters with ten classes and one channel.
    """
    return _small_resnet(image, classes, norm or NormOptions(), [1, 1], bottleneck=False)


def _small_resnet(
    image: Sequence[int], classes: int, norm: NormOptions, blocks: list[int], bottleneck: bool
) -> Graph:
    builder = _Builder(norm, bottleneck)
    inputs = Input(image)
    x = ReLU(name="relu")(builder.conv_norm(inputs, 16, 3, 1, 1, "conv1", "bn1"))
    for stage, count in enumerate(blocks):
        x = builder.stage(x, f"layer{stage + 1}", 16 << stage, count, 1 if stage == 0 else 2)
    return _classifier(inputs, x, classes)


def _classifier(inputs: Tensor, x: Tensor, classes: int) -> Graph:
    x = GlobalAvgPool(name="avgpool")(x)
    return build_graph(inputs, Dense(classes, initial=Normal(CLASSIFIER_SD), name="fc")(x))


@dataclass(frozen=True, slots=True)
class _Builder:
    """Adds convolutions with batch norm, and blocks of one kind, to a network."""

    norm: NormOptions
    bottleneck: bool

    def conv_norm(
        self,
        x: Tensor,
        filters: int,
        kernel: int,
        stride: int,
        padding: int,
        conv: str,
        norm: str,
        *,
        last: bool = False,
    ) -> Tensor:
        """Convolution named `conv` and batch norm named `norm`; `last` of its residual branch."""
        initial = HeNormal("fan_out")
        x = Conv2D(filters, kernel, stride, padding, bias=False, initial=initial, name=conv)(x)
        zero = last and self.norm.zero_last_gamma
        return BatchNorm(self.norm.momentum, self.norm.epsilon, zero, name=norm)(x)

    def stage(self, x: Tensor, name: str, width: int, blocks: int, stride: int) -> Tensor:
        """`blocks` blocks of inner width `width`; the first one has the stride."""
        for index in range(blocks):
            x = self.block(x, f"{name}.{index}", width, stride if index == 0 else 1)
        return x

    def block(self, x: Tensor, name: str, width: int, stride: int) -> Tensor:
        """One residual block: two 3x3 convolutions, or 1x1, 3x3 (with the stride) and 1x1."""
        if self.bottleneck:
            plan = [(width, 1, 1), (width, 3, stride), (width * _EXPANSION, 1, 1)]
        else:
            plan = [(width, 3, stride), (width, 3, 1)]
        y = x
        for number, (filters, kernel, step) in enumerate(plan, start=1):
            last = number == len(plan)
            conv, norm = f"{name}.conv{number}", f"{name}.bn{number}"
            y = self.conv_norm(y, filters, kernel, step, kernel // 2, conv, norm, last=last)
            if not last:
                y = ReLU(name=f"{name}.relu{number}")(y)
        shortcut = x
        if stride != 1 or x.shape[-1] != y.shape[-1]:
            names = f"{name}.downsample.0", f"{name}.downsample.1"
            shortcut = self.conv_norm(x, y.shape[-1], 1, stride, 0, *names)
        return ReLU(name=f"{name}.relu")(Add(name=f"{name}.add")(y, shortcut))
