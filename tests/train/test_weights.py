import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from orchestrator.config import RunConfig
from orchestrator.errors import CheckpointError
from orchestrator.model.graph import Graph
from orchestrator.model.naming import torch_shapes
from orchestrator.model.zoo import build_network
from orchestrator.train.checkpoint import save_checkpoint
from orchestrator.train.state import TrainState
from orchestrator.train.weights import load_weights, to_grid


@pytest.fixture
def tensors(graph: Graph) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    made = {
        name: torch.randn(shape, generator=generator) for name, shape in torch_shapes(graph).items()
    }
    for buffer in graph.buffers:
        made[f"{buffer.node}.num_batches_tracked"] = torch.tensor(5)
    return made


def written(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path)
    return path


def test_float_weights_come_onto_the_grid(
    tmp_path: Path, graph: Graph, tensors: dict[str, torch.Tensor]
) -> None:
    loaded = load_weights(written(tmp_path, tensors), graph)
    assert loaded.fresh == ()
    assert loaded.masters.keys() == {parameter.name for parameter in graph.parameters}
    assert loaded.running.keys() == {buffer.name for buffer in graph.buffers}
    conv = next(name for name, tensor in tensors.items() if tensor.ndim == 4)
    expected = np.floor(tensors[conv].double().numpy() * 2**28 + 0.5)
    np.testing.assert_array_equal(loaded.masters[conv], expected.transpose(0, 2, 3, 1))
    assert loaded.masters[conv].dtype == np.int32
    assert loaded.running["bn1.running_var"].dtype == np.int64


@given(st.floats(-7.99, 7.99), st.sampled_from([np.float64, np.float32, np.float16]))
def test_rounding_to_the_grid_is_half_up(value: float, kind: type) -> None:
    exact = Fraction(float(kind(value))) * 2**28 + Fraction(1, 2)
    floor = exact.numerator // exact.denominator
    assert to_grid("w", np.array([value], kind), np.int32).tolist() == [floor]


def test_half_up_survives_the_double_just_below_a_half() -> None:
    below = np.nextafter(0.5, 0.0) * 2.0**-28
    assert to_grid("w", np.array([below, -below, 2.0**-29, -(2.0**-29)]), np.int32).tolist() == [
        0,
        0,
        1,
        0,
    ]


@pytest.mark.parametrize("value", [8.0, -8.0, 1e30, float("inf"), float("nan")])
def test_a_weight_of_8_is_refused_by_name(
    tmp_path: Path, graph: Graph, tensors: dict[str, torch.Tensor], value: float
) -> None:
    tensors["layer1.0.conv1.weight"][1, 2, 0, 1] = value
    with pytest.raises(CheckpointError, match=r"layer1\.0\.conv1\.weight holds .* below 8 can"):
        load_weights(written(tmp_path, tensors), graph)


def test_running_statistics_may_be_larger(
    tmp_path: Path, graph: Graph, tensors: dict[str, torch.Tensor]
) -> None:
    tensors["bn1.running_var"][0] = 100_000.5
    assert load_weights(written(tmp_path, tensors), graph).running["bn1.running_var"][0] == (
        200_001 << 27
    )
    tensors["bn1.running_var"][0] = 2.0**18 + 1
    with pytest.raises(CheckpointError, match=r"bn1\.running_var holds .* below 262,144 can"):
        load_weights(written(tmp_path, tensors), graph)


def test_missing_and_unexpected_names_are_listed(
    tmp_path: Path, graph: Graph, tensors: dict[str, torch.Tensor]
) -> None:
    tensors["stem.weight"] = tensors.pop("conv1.weight")
    with pytest.raises(CheckpointError, match=r"missing: conv1\.weight; unexpected: stem\.weight"):
        load_weights(written(tmp_path, tensors), graph)


def test_missing_statistics_are_named(
    tmp_path: Path, graph: Graph, tensors: dict[str, torch.Tensor]
) -> None:
    parameters = {p.name for p in graph.parameters}
    with pytest.raises(CheckpointError, match="running statistics are needed"):
        load_weights(
            written(tmp_path, {n: t for n, t in tensors.items() if n in parameters}), graph
        )


def test_another_number_of_classes_leaves_the_last_layer_fresh(
    tmp_path: Path, config: RunConfig, tensors: dict[str, torch.Tensor]
) -> None:
    notices: list[str] = []
    other = build_network(config.model, 5)
    loaded = load_weights(written(tmp_path, tensors), other, notices.append)
    assert loaded.fresh == ("fc.weight", "fc.bias")
    assert not loaded.masters.keys() & set(loaded.fresh)
    (notice,) = notices
    assert "does not fit 5 classes" in notice


def test_a_missing_last_layer_is_left_fresh(
    tmp_path: Path, graph: Graph, tensors: dict[str, torch.Tensor]
) -> None:
    del tensors["fc.weight"], tensors["fc.bias"]
    assert load_weights(written(tmp_path, tensors), graph).fresh == ("fc.weight", "fc.bias")


def test_other_shapes_elsewhere_are_refused(
    tmp_path: Path, graph: Graph, tensors: dict[str, torch.Tensor]
) -> None:
    tensors["layer1.0.conv1.weight"] = torch.zeros(1, 2, 3, 3)
    with pytest.raises(
        CheckpointError, match=r"misshaped: layer1\.0\.conv1\.weight \(1, 2, 3, 3\)"
    ):
        load_weights(written(tmp_path, tensors), graph)


def test_integer_weights_are_refused(
    tmp_path: Path, graph: Graph, tensors: dict[str, torch.Tensor]
) -> None:
    tensors["conv1.weight"] = tensors["conv1.weight"].to(torch.int8)
    with pytest.raises(CheckpointError, match=r"conv1\.weight holds int8"):
        load_weights(written(tmp_path, tensors), graph)


def test_a_checkpoint_gives_its_exact_weights(
    tmp_path: Path, state: TrainState, graph: Graph, config: RunConfig
) -> None:
    path = tmp_path / "step.safetensors"
    save_checkpoint(path, state, graph)
    loaded = load_weights(path, graph)
    for name, master in state.masters.items():
        np.testing.assert_array_equal(loaded.masters[name], master)
    for name, running in state.running.items():
        np.testing.assert_array_equal(loaded.running[name], running)
    other = load_weights(path, build_network(config.model, 5))
    assert other.fresh == ("fc.weight", "fc.bias")
    assert other.masters.keys() == state.masters.keys() - set(other.fresh)
    mlp = build_network(dataclasses.replace(config.model, name="mlp"), 10)
    with pytest.raises(CheckpointError, match="another network"):
        load_weights(path, mlp)


def test_torch_tensors_of_a_checkpoint_are_taken_up_by_a_network_without_state(
    tmp_path: Path, state: TrainState, graph: Graph
) -> None:
    path = tmp_path / "step.safetensors"
    for array in state.masters.values():
        array >>= 8
    save_checkpoint(path, state, graph)
    weights = {n: t for n, t in load_file(path).items() if not n.startswith("regatta.")}
    loaded = load_weights(written(tmp_path, weights), graph)
    for name, master in state.masters.items():
        np.testing.assert_array_equal(loaded.masters[name], master)
