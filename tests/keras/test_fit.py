"""Fits do what `regatta train` does, bit for bit, however they are cut up."""

import signal

import numpy as np
import pytest
from rich.console import Console

from orchestrator.collectives import SingleCollective
from orchestrator.config import LrScheduleConfig, parse_config
from orchestrator.errors import ArgumentError
from orchestrator.keras import LARS, SGD, Model
from orchestrator.keras.history import HistoryRecorder
from orchestrator.train.session import run_training

CONFIG = """
model: {name: digits_resnet, image_size: 8, channels: 1, classes: 10}
data: {source: digits, mean: [0.287], std: [0.354], train_samples: 160, eval_samples: 64}
train: {global_batch: 64, ghost_batch: 16, epochs: 2, seed: 5, label_smoothing: 0.1}
"""
SGD_CONFIG = CONFIG + "lr_schedule: {base_lr: 0.05}\noptimizer: {weight_decay: 1e-3}\n"
LARS_CONFIG = CONFIG + (
    "lr_schedule: {base_lr: 2, warmup_epochs: 1, decay: cosine}\n"
    "optimizer: {name: lars, momentum: 0.8, nesterov: true, weight_decay: 1e-3, eta: 0.002}\n"
)
LARS_RATE = LrScheduleConfig(base_lr=2, warmup_epochs=1, decay="cosine")


@pytest.mark.parametrize(
    ("text", "optimizer"),
    [
        (SGD_CONFIG, SGD(0.05, weight_decay=1e-3)),
        (LARS_CONFIG, LARS(LARS_RATE, 0.8, True, "0.001", eta=0.002)),
    ],
)
def test_same_bits_as_the_train_command(text, optimizer, tmp_path):
    config = parse_config(text, [f"run.dir={tmp_path / 'run'}"])
    summary, folder = run_training(
        config, SingleCollective(), name="run", console=Console(quiet=True)
    )
    from orchestrator.data import open_dataset

    def arrays(split):
        data = open_dataset(config.data, config.model, split, 5)
        samples = [data.read(i) for i in range(len(data))]
        return np.stack([s.content for s in samples]), [s.label for s in samples]

    model = Model.from_network(
        "digits_resnet", image_size=8, channels=1, classes=10, mean=0.287, std="0.354", seed=5
    )
    model.compile(optimizer, label_smoothing=0.1)
    history = model.fit(
        *arrays("train"),
        batch_size=64,
        ghost_batch=16,
        epochs=2,
        validation_data=arrays("eval"),
        verbose=0,
    )
    assert history.fingerprint == summary.fingerprint
    assert history.steps == summary.steps == 4
    assert history.history["val_accuracy"][-1] == summary.last.accuracy
    assert history.history["val_loss"][-1] == summary.last.loss
    scores = model.evaluate(*arrays("eval"), batch_size=50)
    assert scores == (summary.last.loss, summary.last.accuracy)
    # The run's checkpoint in a fresh model: the same predictions.
    other = Model.from_network(
        "digits_resnet", image_size=8, channels=1, classes=10, mean=0.287, std="0.354"
    )
    other.load(folder.path)
    other.compile()
    x = arrays("eval")[0]
    np.testing.assert_array_equal(other.predict(x), model.predict(x))


def test_backends_agree(residual, digits):
    (x, y), held_out = digits
    results = []
    for backend in ("native", "reference"):
        model = residual()
        model.compile(SGD(0.1), backend=backend)
        history = model.fit(x[:64], y[:64], validation_data=held_out, verbose=0)
        results.append((history, model.predict(held_out[0], logits=True).tolist()))
    assert results[0] == results[1]


def test_two_fits_of_one_epoch_are_one_fit_of_two(chain, digits, capsys):
    (x, y), held_out = digits
    whole, parts = chain(), chain()
    for model in (whole, parts):
        model.compile(SGD("0.1"))
    expected = whole.fit(x, y, batch_size=64, epochs=2, verbose=0)
    first = parts.fit(x, y, batch_size=64, verbose=0)
    parts.compile(SGD("0.1"))  # the same settings: a new board, the same training
    second = parts.fit(x, y, batch_size=64, validation_data=held_out, verbose=1)
    assert second.fingerprint == expected.fingerprint != first.fingerprint
    assert second.epoch == [1] and second.steps == 8
    assert first.history["loss"] + second.history["loss"] == expected.history["loss"]
    assert len(second.history["val_loss"]) == 1
    shown = capsys.readouterr().err
    assert "epoch 2: loss" in shown and "evaluated 64 images" in shown


def test_other_settings_start_a_new_training(chain, digits):
    (x, y), _ = digits
    model = chain()
    model.compile(SGD(0.1))
    model.fit(x, y, batch_size=64, verbose=0)
    weights = model.get_weights()
    again = model.fit(x, y, batch_size=128, verbose=0)
    assert again.epoch == [0] and again.steps == 2
    fresh = chain()
    fresh.compile(SGD(0.1))
    fresh.set_weights(weights)
    assert fresh.fit(x, y, batch_size=128, verbose=0).fingerprint == again.fingerprint
    assert model.fit(x, y, batch_size=128, seed=3, verbose=0).epoch == [0]


def test_looking_does_not_change_the_training(chain, digits):
    (x, y), (x_test, y_test) = digits
    blind, looking = chain(), chain()
    for model in (blind, looking):
        model.compile("sgd")
    looking.predict(x_test)
    looking.evaluate(x_test, y_test)
    expected = blind.fit(x, y, epochs=2, verbose=0).fingerprint
    looking.fit(x, y, verbose=0)
    looking.predict(x_test)
    assert looking.fit(x, y, verbose=0).fingerprint == expected


def test_an_interrupted_fit_goes_on(chain, digits, monkeypatch):
    (x, y), _ = digits
    whole, stopped = chain(), chain()
    for model in (whole, stopped):
        model.compile(SGD(0.1))
    expected = whole.fit(x, y, epochs=2, verbose=0).fingerprint
    step = HistoryRecorder.step

    def interrupted(recorder, record):
        step(recorder, record)
        if record.step == 10:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(HistoryRecorder, "step", interrupted)
        with pytest.raises(KeyboardInterrupt, match="after step 1"):
            stopped.fit(x, y, epochs=2, verbose=0)
    history = stopped.fit(x, y, epochs=1, verbose=0)
    assert history.fingerprint == expected
    assert history.epoch == [1]


def test_cifar_augmentation_changes_the_images(chain, digits):
    (x, y), _ = digits
    prints = set()
    for augmentation in ("none", "cifar"):
        model = chain()
        model.compile("lars")
        fitted = model.fit(x, y, augmentation=augmentation, batch_size=128, verbose=0)
        prints.add(fitted.fingerprint)
    assert len(prints) == 2


BAD_FITS = [
    ({"batch_size": 48}, "fit: batch_size: 48 is not a multiple of ghost_batch 32"),
    ({"batch_size": 512}, "fit: batch_size: 512 images in epoch 0, but the data set has 256"),
    ({"epochs": 0}, "fit: epochs: 0"),
    ({"seed": -1}, "fit: seed: -1"),
    ({"augmentation": "imagenet2"}, "fit: augmentation: 'imagenet2'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_FITS)
def test_bad_arguments_are_named(chain, digits, arguments, message):
    (x, y), _ = digits
    model = chain()
    model.compile()
    before = model.get_weights()
    with pytest.raises(ArgumentError) as caught:
        model.fit(x, y, verbose=0, **arguments)
    assert str(caught.value).startswith(message)
    np.testing.assert_equal(model.get_weights(), before)


def test_a_plateau_needs_validation_data(chain, digits):
    model = chain()
    model.compile(SGD(LrScheduleConfig(base_lr=1, decay="plateau")))
    with pytest.raises(ArgumentError, match="needs validation_data"):
        model.fit(*digits[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "adam"}, "optimizer 'adam' is not allowed"),
        ({"optimizer": SGD(-1)}, "base_lr: -1 is out of range"),
        ({"optimizer": SGD(momentum=1.5)}, "momentum: 1.5 is out of range"),
        ({"optimizer": LARS(eta="much")}, "eta: 'much' is not a number"),
        ({"label_smoothing": 1}, "compile: label_smoothing: 1 is out of range"),
        ({"backend": "gpu"}, "compile: backend: 'gpu'"),
        ({"threads": 0}, "compile: threads: 0"),
    ],
)
def test_bad_settings_are_named(chain, settings, message):
    model = chain()
    with pytest.raises(ArgumentError) as caught:
        model.compile(**settings)
    assert message in str(caught.value)


def test_fit_needs_compile(chain, digits):
    (x, y), _ = digits
    for call in (chain().fit, chain().evaluate):
        with pytest.raises(ArgumentError, match="call compile first"):
            call(x, y)
