"""Section `collective`: how the ranks exchange gradients."""

from dataclasses import dataclass, field
from typing import Literal

from orchestrator.config.schema import about, check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectiveConfig:
    """The exchange between ranks."""

    engine: Literal["mpi", "horovod", "links", "hybrid"] = field(
        default="mpi", metadata=about("who sums the gradients", numeric=False)
    )
    bucket_mib: int = field(
        default=4,
        metadata=about("gradients exchanged together, MiB", low=1, high=1024, numeric=False),
    )
    timeout_s: int = field(
        default=600,
        metadata=about("seconds to wait for a rank before naming it", low=1, numeric=False),
    )

    def __post_init__(self) -> None:
        check_fields(self, "collective")
