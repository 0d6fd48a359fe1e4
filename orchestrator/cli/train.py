"""``regatta train``."""

from pathlib import Path

from orchestrator.cli.output import check_json, print_facts, write_json
from orchestrator.collectives import guarded, open_collective
from orchestrator.config import load_config
from orchestrator.errors import RunError
from orchestrator.train.info import INTERRUPTED, RunSummary
from orchestrator.train.preview import facts, preview
from orchestrator.train.rundir import RunFolder
from orchestrator.train.session import run_training


def train(
    config_path: Path,
    overrides: list[str],
    *,
    resume: bool,
    allow_other_decoder: bool,
    dry_run: bool,
    json_path: Path | None,
) -> None:
    """Train as the configuration says, on all ranks of the job."""
    with guarded():
        check_json(json_path)
        config = load_config(config_path, overrides)
        collective = open_collective(config.collective)
        if dry_run:
            report = preview(config, collective.size)
            if collective.rank == 0:
                print_facts("What this training would do", facts(report))
                write_json(json_path, report)
            collective.close()
            return
        summary, folder = run_training(
            config,
            collective,
            name=config_path.stem,
            resume=resume,
            allow_other_decoder=allow_other_decoder,
        )
        if collective.rank == 0:
            write_json(json_path, summary_values(summary, folder))
        collective.close()
        if summary.reason == INTERRUPTED:
            raise RunError(
                f"interrupted after step {summary.steps}; its checkpoint is in "
                f"{folder.checkpoints}, the same command with --resume continues"
            )


def summary_values(summary: RunSummary, folder: RunFolder) -> dict[str, object]:
    """Return a run's end as JSON values."""
    evaluations = {
        name: None
        if record is None
        else {
            "step": record.step,
            "samples": record.samples,
            "top1": record.top1,
            "top5": record.top5,
            "accuracy": record.accuracy,
            "loss": record.loss,
        }
        for name, record in (("last", summary.last), ("best", summary.best))
    }
    return {
        "run_dir": str(folder.path),
        "reason": summary.reason,
        "steps": summary.steps,
        "epochs": summary.epochs,
        "seconds": summary.seconds,
        "images": summary.images,
        "images_per_s": summary.images / summary.seconds if summary.seconds > 0 else None,
        "fingerprint": summary.fingerprint,
        **evaluations,
    }
