"""Writes docs/accuracy.md from the results beside this script.

Usage: python docs/accuracy/render.py

``parity/`` holds the result files of `orchestrator.studies.parity`, ``sweep/`` what `regatta sweep`
wrote; the page's tables are made from them, so no figure on the page is typed.
"""

from pathlib import Path

from orchestrator.studies.parity import table

HERE = Path(__file__).resolve().parent
PAGE = HERE.with_suffix(".md")

PARITY = """# Accuracy

## Exact integers against float32

Does training on 13-bit integers cost accuracy? Pairs of CIFAR-10 trainings (all 50,000 training
images at 32 x 32, tested on all 10,000 test images after the last epoch): one here, one as a
float32 PyTorch network with the same initial weights, images, augmentation, order, ghost batches,
learning rates, momentum and weight decay. Only the arithmetic differs. A difference is exact minus
float32, in points of top-1 accuracy; an interval is Student's t over the pairs.

"""

PARITY_COMMANDS = """
```
python -m orchestrator.studies.parity configs/cifar10_resnet8.yaml --seeds 0,1,2,3,4 \\
    --set train.ghost_batch=128 --set train.eval_every_epochs=10 --output docs/accuracy/parity
python -m orchestrator.studies.parity configs/cifar10_resnet20.yaml --seeds 0,1 \\
    --set train.ghost_batch=128 --set train.epochs=10 --set train.eval_every_epochs=10 \\
    --output docs/accuracy/parity
```

train them, and go on where they were interrupted. The ghost batch of 128 is the whole batch, so
that batch norm is what every PyTorch user has. The table has the pairs that are trained so far:
their results, with whole configurations, are in `docs/accuracy/parity/`, and
`python docs/accuracy/render.py` makes this page of them.
"""


def page(folder: Path = HERE) -> str:
    """Return the page as Markdown."""
    return PARITY + table(folder / "parity") + PARITY_COMMANDS


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE}")
