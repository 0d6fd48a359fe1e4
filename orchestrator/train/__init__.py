"""Training: step, epoch, evaluation, checkpoints, metrics, logs and timeline of a run."""
