"""What is known about a run when it starts and when it ends, for everything that reports it."""

from dataclasses import dataclass

from orchestrator.train.metrics import EvaluationRecord

INTERRUPTED = "interrupted"
"""Reason of a run that a signal ended, after it had left a checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """Facts of a run that its configuration alone does not tell.

    Attributes
    ----------
    ranks : MPI processes.
    classes : classes of the data.
    parameters : trainable parameters of the network.
    train_samples, eval_samples : samples of the two splits.
    total_epochs : epochs the run is to end after.
    total_steps : updates after which the run ends, counted from the start of the training.
    steps_per_epoch : updates of the first epoch (a batch schedule makes later ones shorter).
    decoder : version of the image decoder and resizer.
    resume_step : updates done in the checkpoint the run resumes from, None for a new run.
    """

    ranks: int
    classes: int
    parameters: int
    train_samples: int
    eval_samples: int
    total_epochs: int
    total_steps: int
    steps_per_epoch: int
    decoder: str = ""
    resume_step: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """How a run ended.

    Attributes
    ----------
    steps, epochs : updates and epochs done in the whole training, earlier runs included.
    seconds : wall time of this run.
    images : training images this run computed.
    last, best : last and best evaluation of this run; None without one.
    reason : why it ended: ``all epochs done``, ``early stop``, ``max_steps``, `INTERRUPTED`.
    fingerprint : hash of the parameters at the end.
    """

    steps: int
    epochs: int
    seconds: float
    images: int
    last: EvaluationRecord | None
    best: EvaluationRecord | None
    reason: str
    fingerprint: str
