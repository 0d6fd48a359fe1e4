"""Models outside training: predictions, weights, files, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import parse_config
from orchestrator.errors import ArgumentError, CheckpointError, ConfigError
from orchestrator.keras import SGD, Conv2D, Dense, Flatten, Input, Model, Sequential
from orchestrator.train.checkpoint import load_checkpoint
from orchestrator.train.fingerprint import fingerprint


@pytest.fixture
def trained(chain, digits):
    model = chain()
    model.compile(SGD(0.1))
    model.fit(*digits[0], epochs=2, verbose=0)
    return model


def test_probabilities_follow_the_exact_logits(trained, digits):
    x, y = digits[1]
    logits = trained.predict(x, logits=True)
    shares = trained.predict(x, batch_size=7)
    assert logits.dtype == shares.dtype == np.float32
    np.testing.assert_array_equal(logits * 1024, np.round(logits * 1024))
    expected = np.exp(logits.astype(np.float64))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, expected, rtol=1e-6)
    loss, accuracy = trained.evaluate(x, y)
    assert accuracy == np.mean(shares.argmax(axis=1) == y)
    assert loss == pytest.approx(-np.log(expected[np.arange(64), y]).mean(), abs=1e-4)


def test_an_image_is_judged_alone(trained, digits):
    x = digits[1][0]
    together = trained.predict(x, batch_size=64, logits=True)
    alone = np.concatenate([trained.predict(x[i : i + 1], logits=True) for i in range(8)])
    np.testing.assert_array_equal(alone, together[:8])


@pytest.mark.parametrize("network", ["chain", "residual"])
def test_weights_without_histories_are_calibrated_by_the_first_batch(network, digits, request):
    (x, y), (x_test, y_test) = digits
    build = request.getfixturevalue(network)
    model, other = build(), build(seed=9)
    for each in (model, other):
        each.compile(SGD(0.1))
    model.fit(x, y, epochs=3, verbose=0)
    other.set_weights(model.get_weights())
    found = other.predict(x_test, logits=True)
    # The same weights: only roundings differ, by other exponents.
    np.testing.assert_allclose(found, model.predict(x_test, logits=True), atol=0.1)
    # Calibrated once: from then on an image is judged alone.
    np.testing.assert_array_equal(other.predict(x_test[40:41], logits=True), found[40:41])
    np.testing.assert_array_equal(other.predict(x[:4]), other.predict(x[:9])[:4])
    assert other.evaluate(x_test, y_test).accuracy == pytest.approx(
        model.evaluate(x_test, y_test).accuracy, abs=0.05
    )


@settings(max_examples=20)
@given(data=st.data())
def test_weights_on_the_grid_come_back_exactly(data):
    model = Sequential([Input((2, 2, 1)), Flatten(), Dense(2)])
    counts = st.integers(-(2**31) + 1, 2**31 - 1)
    weights = [
        np.array(data.draw(st.lists(counts, min_size=w.size, max_size=w.size))).reshape(w.shape)
        * 2.0**-28
        for w in model.get_weights()
    ]
    model.set_weights(weights)
    for found, given_ in zip(model.get_weights(), weights, strict=True):
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, given_)


def test_running_statistics_are_among_the_weights(trained):
    names = trained.weight_names
    assert names[0] == "conv2d.weight"
    assert names[-2:] == ("batchnorm.running_mean", "batchnorm.running_var")
    weights = trained.get_weights()
    assert weights[0].shape == (8, 3, 3, 1)
    trained.set_weights(weights)
    np.testing.assert_equal(trained.get_weights(), weights)


def test_wrong_weights_are_refused_by_name(chain):
    model = chain()
    weights = model.get_weights()

    def refused(index, value, message):
        changed = list(weights)
        changed[index] = value
        with pytest.raises(ArgumentError, match=message):
            model.set_weights(changed)
        np.testing.assert_equal(model.get_weights(), weights)

    one_large = weights[3].copy()
    one_large[1, 2, 0, 3] = -8
    refused(3, one_large, "set_weights: conv2d_1.weight holds -8; magnitudes below 8")
    refused(0, weights[0] * np.nan, "conv2d.weight holds nan")
    refused(1, weights[1][:3], r"batchnorm.weight has shape \(3,\); it needs \(8,\)")
    refused(2, ["a"] * 8, "batchnorm.bias is no array of numbers")
    with pytest.raises(ArgumentError, match="1 arrays; the model has 9"):
        model.set_weights(weights[:1])


def test_a_saved_model_predicts_and_trains_on_as_before(chain, digits, tmp_path):
    (x, y), (x_test, _) = digits
    model = chain(name="small")
    model.compile(SGD(0.1))
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "small.safetensors")
    expected = model.predict(x_test, logits=True)
    further = model.fit(x, y, epochs=2, verbose=0)

    loaded = chain(seed=3, name="small")
    loaded.compile(SGD(0.1))
    loaded.load(str(tmp_path / "small.safetensors"))
    np.testing.assert_array_equal(loaded.predict(x_test, logits=True), expected)
    history = loaded.fit(x, y, epochs=2, seed=0, verbose=0)
    assert history.fingerprint == further.fingerprint
    assert history.epoch == [1, 2]


def test_models_without_training_are_saved_too(chain, digits, tmp_path):
    x = digits[1][0]
    model, loaded = chain(), chain(seed=7)
    model.save(tmp_path / "fresh.safetensors")
    loaded.load(tmp_path / "fresh.safetensors")
    np.testing.assert_equal(loaded.get_weights(), model.get_weights())
    model.compile()
    model.predict(x)
    model.save(tmp_path / "calibrated.safetensors")
    state = load_checkpoint(tmp_path / "calibrated.safetensors")
    assert parse_config(state.config_text).data.source == "memory"
    assert len(fingerprint(state)) == 64
    loaded.compile()
    loaded.load(tmp_path / "calibrated.safetensors")
    np.testing.assert_array_equal(loaded.predict(x[32:]), model.predict(x[32:]))


def test_a_checkpoint_of_another_network_is_refused(chain, residual, tmp_path):
    residual().save(tmp_path / "other.safetensors")
    model = chain()
    before = model.get_weights()
    with pytest.raises(CheckpointError, match="belongs to another network"):
        model.load(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        model.load(tmp_path / "absent.safetensors")
    np.testing.assert_equal(model.get_weights(), before)


def test_the_summary_lists_layers_and_totals(residual, capsys):
    residual().summary()
    shown = capsys.readouterr().out
    assert "conv2d_1" in shown and "Add" in shown and "4x4x8" in shown
    assert f"{residual().graph.parameter_count:,}" in shown


IMAGES = np.zeros((4, 8, 8, 1), np.uint8)
BAD_ARRAYS = [
    (IMAGES.astype(np.float32), [0] * 4, "x holds float32 elements; give pixels as uint8"),
    (IMAGES[..., 0], [0] * 4, r"x has shape \(4, 8, 8\), the network takes \(n, 8, 8, 1\)"),
    (IMAGES[:0], [], "x holds no image"),
    (IMAGES, [0] * 3, r"y has shape \(3,\), x holds 4 images"),
    (IMAGES, np.eye(10, dtype=int)[:4], "no one-hot vectors"),
    (IMAGES, [0.0] * 4, "y holds float64 elements"),
    (IMAGES, [0, 1, 2, 10], "y holds 10; the network has 10 outputs"),
    (IMAGES, [0, 1, 2, -1], "y holds -1"),
]


@pytest.mark.parametrize(("x", "y", "message"), BAD_ARRAYS)
def test_arrays_that_do_not_fit_are_refused(chain, x, y, message):
    model = chain()
    model.compile()
    with pytest.raises(ArgumentError, match=f"^evaluate: .*{message}"):
        model.evaluate(x, y)
    with pytest.raises(ArgumentError, match=f"^fit: .*{message}"):
        model.fit(x, y)


def test_a_batch_size_below_one_is_refused(chain):
    model = chain()
    model.compile()
    with pytest.raises(ArgumentError, match="predict: batch_size 0"):
        model.predict(IMAGES, batch_size=0)


def test_networks_that_cannot_run_are_refused():
    with pytest.raises(ArgumentError, match="the first of the layers must be Input"):
        Sequential([Dense(3)])
    with pytest.raises(ArgumentError, match="square images"):
        Sequential([Input((4, 6, 1)), Flatten(), Dense(3)])
    with pytest.raises(ArgumentError, match="square images"):
        Sequential([Input((4,)), Dense(3)])
    with pytest.raises(ArgumentError, match="ends with a Dense layer"):
        Sequential([Input((4, 4, 1)), Conv2D(3, 3)])
    with pytest.raises(ArgumentError, match="ends with a Dense layer"):
        Sequential([Input((4, 4, 1)), Flatten(), Dense(1)])
    with pytest.raises(ArgumentError, match="mean: 2 values for images of 1 channels"):
        Sequential([Input((4, 4, 1)), Flatten(), Dense(2)], mean=[0.1, 0.2])
    with pytest.raises(ArgumentError, match="std.0.: 0 is out of range"):
        Sequential([Input((4, 4, 1)), Flatten(), Dense(2)], std=0)
    with pytest.raises(ArgumentError, match="unknown option 'depth'"):
        Model.from_network("resnet20", image_size=32, classes=10, depth=3)
    with pytest.raises(ConfigError, match="there is no network 'resnet21'"):
        Model.from_network("resnet21", image_size=32, classes=10)
