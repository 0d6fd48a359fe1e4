"""Missing, empty and damaged data: named, or skipped alike at every rank count."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

FOLDER = """
model: {name: resnet8, image_size: 8}
data: {source: folder, path: images, augmentation: cifar, pad: 1}
train: {global_batch: 8, ghost_batch: 4, epochs: 2, eval_batch: 4}
lr_schedule: {base_lr: 0.1}
"""


@pytest.fixture
def images(regatta):
    """An image folder of two classes, and a configuration for it: train 12 each, val 2 each."""
    Path("folder.yaml").write_text(FOLDER)
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 2)):
        for name in ("ant", "bee"):
            folder = Path("images") / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (12, 10, 3), np.uint8)
                content = simplejpeg.encode_jpeg(pixels, quality=90)
                (folder / f"{number:02}.jpg").write_bytes(content)
    return Path("images")


def test_missing_data_is_named(regatta, images):
    for setting, message in (
        ("data.path=gone", "gone: no such file or folder; expected SPLIT/CLASS/*.jpg"),
        ("data.path=folder.yaml", "folder.yaml: expected a directory or an archive"),
        ("data.train_split=trian", "images/trian: no such folder"),
        ("model.classes=1", "model.classes: 1 is out of range"),
        ("train.global_batch=32", "32 images in epoch 0, but the data set has 24"),
    ):
        assert message in regatta("train", "folder.yaml", "--set", setting).refused()
    (images / "val" / "wasp").mkdir()
    shutil.copy(images / "val/bee/00.jpg", images / "val/wasp/00.jpg")
    message = regatta("train", "folder.yaml").refused()
    assert message == "images/val/wasp: the training split has no class of this name"
    for file in (images / "train" / "bee").iterdir():
        file.unlink()
    message = regatta("train", "folder.yaml").refused()
    assert message == "images/train/bee: an empty class, at least one image expected"
    assert not Path("runs").exists()


def test_too_few_classes_are_refused(regatta):
    settings = ("--set", "data.source=digits", "--set", "model.classes=3")
    message = regatta("train", "tiny.yaml", *settings).refused()
    assert message.startswith("model.classes: 3, but the data set has 10 classes")


@pytest.mark.parametrize(
    ("size", "message"),
    [(200, "a damaged or truncated JPEG"), (0, "an empty file"), (None, "not a JPEG")],
)
def test_a_damaged_image_stops_the_training(regatta, images, size, message):
    file = images / "train" / "bee" / "05.jpg"
    file.write_bytes(b"hello" if size is None else file.read_bytes()[:size])
    assert f"{file}: {message}" in regatta("train", "folder.yaml").refused()


def test_a_ghost_batch_without_a_good_image_stops(regatta, images):
    for file in images.glob("train/*/*.jpg"):
        file.write_bytes(b"hello")
    message = regatta("train", "folder.yaml", "--set", "data.on_error=skip").refused()
    assert message.startswith("every image of a ghost batch is damaged: images/train/")


def test_skipping_is_the_same_at_every_rank_count(regatta, images, mpirun):
    """Also with a rank too many, which is said once."""
    file = images / "train" / "bee" / "05.jpg"
    file.write_bytes(file.read_bytes()[:200])
    prints, skipped = set(), set()
    for ranks in (1, 2, 3):
        settings = ("--set", "data.on_error=skip", "--set", f"run.dir=run{ranks}")
        if ranks == 1:
            shown = regatta("train", "folder.yaml", *settings).err
        else:
            shown = mpirun(ranks, "-m", "orchestrator", "train", "folder.yaml", *settings).stderr
            assert f"skipped: {file}: a damaged or truncated JPEG" in shown
        idle = "warning: 1 of 3 ranks have nothing to compute: a step of 8 images is 2 ghost"
        assert shown.count("warning: ") == shown.count(idle) == int(ranks == 3)
        prints.add(regatta("fingerprint", f"run{ranks}", "--state").out)
        lines = Path(f"run{ranks}/metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        skipped.add(tuple(record.get("skipped") for record in records))
    assert len(prints) == len(skipped) == 1
    assert sum(count or 0 for count in skipped.pop()) == 2  # once an epoch


def test_ranks_refuse_bad_input_once(finished, mpirun):
    config = finished / "config.yaml"
    for words, message in (
        (["trian"], "No such command 'trian'. Did you mean 'train'? (see regatta --help)"),
        (["train", config], f"run.dir: {finished} holds another run; choose another run.dir"),
    ):
        ended = mpirun(2, "-m", "orchestrator", *words)
        assert ended.returncode == 2
        assert ended.stderr.count("regatta: ") == ended.stderr.count(f"regatta: {message}") == 1
        assert "MPI_ABORT" not in ended.stderr
