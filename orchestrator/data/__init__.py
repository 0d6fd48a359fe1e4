"""Images, their labels and their order: from files to ghost batches of pixels."""

from orchestrator.data.base import Dataset, Encoded
from orchestrator.data.decode import decoder_version
from orchestrator.data.loader import GhostBatch, GhostRequest, Loader
from orchestrator.data.sources import open_dataset

__all__ = [
    "Dataset",
    "Encoded",
    "GhostBatch",
    "GhostRequest",
    "Loader",
    "decoder_version",
    "open_dataset",
]
