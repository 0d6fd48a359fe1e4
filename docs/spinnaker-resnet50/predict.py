"""Predicts everything that the report shows, and writes study.json beside this script.

Usage: python docs/spinnaker-resnet50/predict.py
"""

import json
from pathlib import Path

from orchestrator.cli.cache import cache_folder
from orchestrator.config import load_config
from orchestrator.studies.scaling_replica import plan_slice
from orchestrator.studies.scaling_report import figures

HERE = Path(__file__).resolve().parent
STUDY = HERE / "study.json"
CONFIG = HERE.parents[1] / "configs" / "resnet50_spinnaker1m.yaml"


if __name__ == "__main__":
    folder = cache_folder()
    found = figures(
        load_config(CONFIG), lambda config: plan_slice(config, folder / "plans"), folder / "sums"
    )
    STUDY.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {STUDY}")
