"""Section `slice`: the boards one rank owns."""

from dataclasses import dataclass, field
from typing import Literal

from orchestrator.config.schema import about, check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceConfig:
    """The boards that hold one replica."""

    backend: Literal["native", "reference", "emulated", "hardware"] = field(
        default="native",
        metadata=about(
            "native: compiled for this machine; reference: NumPy; emulated, hardware: boards",
            numeric=False,
        ),
    )
    boards: int = field(
        default=1, metadata=about("boards of a slice", low=1, high=1200, numeric=False)
    )

    def __post_init__(self) -> None:
        check_fields(self, "slice")
