"""``regatta fingerprint``: the hash of a checkpoint's canonical parameters."""

from pathlib import Path

from orchestrator.train.checkpoint import load_checkpoint
from orchestrator.train.fingerprint import fingerprint as hash_state
from orchestrator.train.keeper import find_checkpoint


def fingerprint(checkpoint: Path, state: bool = False) -> str:
    """Return the fingerprint of a checkpoint file, or of the newest one of a run directory.

    Parameters
    ----------
    checkpoint : a checkpoint or a run directory.
    state : include momentum, histories and step.

    Raises
    ------
    CheckpointError
        If there is no checkpoint, or it is damaged.
    """
    return hash_state(load_checkpoint(find_checkpoint(checkpoint)), full=state)
