"""Faults on demand: what happens to datagrams, boards, chips, links and cores, by a plan or a call.

Chips and links are named as the machine is built, cores by their virtual numbers. Datagrams are
drawn for from a seeded generator: the same datagrams in the same order meet the same faults.
"""

import random
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from orchestrator.config.load import load_section
from orchestrator.config.schema import about, check_fields
from orchestrator.errors import ConfigError
from orchestrator.machine.links import Link
from orchestrator.wire.layout import CHIP_CORES


@dataclass(frozen=True, kw_only=True, slots=True)
class DatagramFaultsConfig:
    """What happens to datagrams in one direction; each share is of all datagrams."""

    loss: Fraction = field(default=Fraction(0), metadata=about("share lost", low=0, high=1))
    duplication: Fraction = field(
        default=Fraction(0), metadata=about("share that comes twice", low=0, high=1)
    )
    reordering: Fraction = field(
        default=Fraction(0),
        metadata=about("share held back by reorder_ms, so that others overtake", low=0, high=1),
    )
    reorder_ms: int = field(default=5, metadata=about("how long, ms", low=1, high=10000))
    delay_ms: int = field(
        default=0,
        metadata=about("delay of all others, at most, drawn evenly, ms", low=0, high=10000),
    )

    def __post_init__(self) -> None:
        check_fields(self, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class LossyLinkConfig:
    """A link that loses packets on their way out of a chip."""

    x: int = field(metadata=about("chip", low=0))
    y: int = field(metadata=about("chip", low=0))
    link: int = field(metadata=about("link", low=0, high=5))
    loss: Fraction = field(metadata=about("share of packets lost", low=0, high=1))

    def __post_init__(self) -> None:
        check_fields(self, "lossy_links")


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultsConfig:
    """A plan of faults."""

    seed: int = field(default=0, metadata=about("of the draws for datagrams", low=0))
    received: DatagramFaultsConfig = field(
        default_factory=DatagramFaultsConfig, metadata=about("datagrams from hosts")
    )
    sent: DatagramFaultsConfig = field(
        default_factory=DatagramFaultsConfig, metadata=about("datagrams to hosts")
    )
    after_ms: int = field(
        default=0, metadata=about("from a boot to the faults below, ms", low=0, high=86400000)
    )
    silent_boards: tuple[tuple[int, int, int], ...] = field(
        default=(), metadata=about("boards (x, y, z) that stop answering", low=0)
    )
    dead_chips: tuple[tuple[int, int], ...] = field(
        default=(), metadata=about("chips (x, y) that die", low=0)
    )
    dead_links: tuple[tuple[int, int, int], ...] = field(
        default=(), metadata=about("links (x, y, link 0 to 5) that die", low=0)
    )
    lossy_links: tuple[LossyLinkConfig, ...] = field(
        default=(), metadata=about("links that lose packets")
    )
    trapped_cores: tuple[tuple[int, int, int], ...] = field(
        default=(), metadata=about("cores (x, y, virtual number) that trap once loaded", low=0)
    )

    def __post_init__(self) -> None:
        check_fields(self, "")
        for x, y, link in self.dead_links:
            if link not in set(Link):
                raise ConfigError(f"dead_links: link {link} of chip ({x}, {y}) is not 0 to 5")
        for x, y, core in self.trapped_cores:
            if not 1 <= core < CHIP_CORES:
                raise ConfigError(f"trapped_cores: core {core} of chip ({x}, {y}) is not 1 to 17")


NO_FAULTS_ON_DEMAND = FaultsConfig()


def load_faults(path: str | Path) -> FaultsConfig:
    """Return the plan of faults in a YAML file.

    Raises
    ------
    ConfigError
        The file cannot be read, or a key or value is not allowed.
    """
    return load_section(FaultsConfig, path)


class DatagramFaults:
    """Decides for one datagram after the other, in one direction.

    Attributes
    ----------
    idle
        Whether nothing ever happens to a datagram.

    Examples
    --------
    >>> lossy = DatagramFaults(DatagramFaultsConfig(loss=Fraction(1, 2)), seed=1)
    >>> [len(lossy.delays()) for _ in range(8)]
    [0, 1, 1, 0, 0, 0, 1, 1]
    """

    def __init__(self, config: DatagramFaultsConfig, seed: int):
        self._random = random.Random(seed)
        self._loss = float(config.loss)
        self._duplication = float(config.duplication)
        self._reordering = float(config.reordering)
        self._held_s = config.reorder_ms / 1000
        self._delay_s = config.delay_ms / 1000
        self.idle = config == DatagramFaultsConfig()

    def delays(self) -> list[float]:
        """Return in how many seconds each copy of the next datagram goes on: none, one or two."""
        draw = self._random.random
        if draw() < self._loss:
            return []
        copies = 2 if draw() < self._duplication else 1
        return [
            self._held_s if draw() < self._reordering else draw() * self._delay_s
            for _ in range(copies)
        ]
