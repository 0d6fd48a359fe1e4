"""The contract: one configuration, one seed, one set of bits, however the work is divided."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Train = Callable[..., str]

DIGITS = """
model: {name: digits_resnet, image_size: 8, channels: 1}
data: {source: digits, mean: [0.287], std: [0.354]}
train: {global_batch: 64, ghost_batch: 16, epochs: 2, max_steps: 12, seed: 3}
optimizer: {name: sgd, nesterov: true, weight_decay: 5e-4}
lr_schedule: {base_lr: 0.1, warmup_epochs: 1, warmup_start: 0.01, decay: cosine}
"""

CIFAR = """
model: {name: resnet20, image_size: 32}
data: {source: cifar10, path: PATH, augmentation: cifar, eval_samples: 64}
train: {global_batch: 64, ghost_batch: 16, epochs: 1, max_steps: 20, seed: 1}
optimizer: {name: lars, weight_decay: 1e-4, eta: 0.01}
lr_schedule: {base_lr: 1, decay: polynomial, warmup_epochs: 0.02}
"""

RESNET50 = """
model: {name: resnet50, image_size: 224}
data: {source: folder, path: PATH, eval_split: train, augmentation: imagenet, eval_samples: 8}
train: {global_batch: 32, ghost_batch: 8, epochs: 1, max_steps: 2, eval_batch: 8}
optimizer: {name: sgd, weight_decay: 1e-4}
lr_schedule: {base_lr: 0.1}
"""


@pytest.fixture
def train(mpirun: Callable[..., object], tmp_path: Path) -> Train:
    """Train a configuration on some ranks and return the fingerprint of the result."""

    def run(config: str, ranks: int, folder: str, *options: str, **sets: object) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(config)
        result = tmp_path / "result.json"
        result.unlink(missing_ok=True)
        settings = [f"--set={key.replace('__', '.')}={value}" for key, value in sets.items()]
        done = mpirun(
            ranks, "-m", "orchestrator", "train", path, f"--set=run.dir={tmp_path / folder}",
            "--json", result, *settings, *options, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(result.read_text())["fingerprint"]

    return run


@pytest.mark.parametrize(
    "optimizer",
    ["{name: sgd, nesterov: true, weight_decay: 5e-4}", "{name: rmsprop_warmup}"],
)
def test_ranks_threads_and_boards(train: Train, optimizer: str) -> None:
    config = DIGITS.replace("{name: sgd, nesterov: true, weight_decay: 5e-4}", optimizer)
    expected = train(config, 1, "one")
    assert train(config, 2, "two") == expected
    assert train(config, 3, "uneven") == expected
    assert train(config, 5, "a rank without work") == expected
    assert train(config, 1, "threads", train__threads=2) == expected
    assert train(config, 2, "small buckets", collective__bucket_mib=1) == expected
    assert train(config, 2, "oracle", slice__backend="reference") == expected


def test_resume_at_other_rank_counts(train: Train) -> None:
    expected = train(DIGITS, 1, "straight")
    train(DIGITS, 2, "cut", train__max_steps=5)
    train(DIGITS, 1, "cut", "--resume", train__max_steps=9)
    assert train(DIGITS, 3, "cut", "--resume") == expected


def test_resume_does_not_show_a_schedule_other_evaluations(train: Train) -> None:
    """A plateau schedule waits for evaluations; one that a cut adds must not count."""
    plateau = DIGITS.replace("decay: cosine", "decay: plateau, plateau: {patience: 1}")
    plateau = plateau.replace("epochs: 2, max_steps: 12", "epochs: 3")
    expected = train(plateau, 1, "straight")
    train(plateau, 2, "cut", train__max_steps=7)
    train(plateau, 2, "cut", "--resume", train__max_steps=22)
    assert train(plateau, 1, "cut", "--resume") == expected


def test_another_seed_gives_other_bits(train: Train) -> None:
    assert train(DIGITS, 1, "one") != train(DIGITS, 1, "two", train__seed=4)


def test_cifar10_resnet20_after_20_steps(train: Train, real_data: Path) -> None:
    config = CIFAR.replace("PATH", str(real_data / "cifar10-images.tar.gz"))
    expected = train(config, 1, "one")
    for ranks in (2, 3, 4):
        assert train(config, ranks, f"ranks {ranks}") == expected
    assert train(config, 1, "threads", train__threads=2) == expected
    train(config, 2, "cut", train__max_steps=9)
    assert train(config, 3, "cut", "--resume") == expected


def test_resnet50_at_full_size(train: Train, real_data: Path) -> None:
    config = RESNET50.replace("PATH", str(real_data / "imagenet-sample.tar"))
    assert train(config, 1, "one", train__threads=2) == train(config, 2, "two")
