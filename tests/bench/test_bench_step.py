"""``bench step``: both sides train the same, and its figures fit together."""

import io
import sys

import numpy as np
import pytest
from rich.console import Console

from orchestrator.bench import step_memory
from orchestrator.bench.step import run, table
from orchestrator.bench.step_sides import StepCase, default_input, our_step, peer_step
from orchestrator.errors import ArgumentError, ConfigError, MissingToolError, RunError

torch = pytest.importorskip("torch", reason="torch is missing: pip install torch")


def small(**changes: object) -> StepCase:
    options = dict(network="resnet8", image_size=16, classes=10, batch=6, ghost_batch=4, threads=1)
    return StepCase(**(options | {"kernel_set": None} | changes))


@pytest.mark.parametrize(
    "changes",
    [{}, {"ghost_batch": 6}, {"network": "resnet29_bottleneck"}],
    ids=["ghost batches", "one pass", "bottlenecks"],
)
def test_both_sides_train_the_same(changes: dict) -> None:
    case = small(**changes)
    ours, peer = our_step(case), peer_step(case)
    losses = [(ours(), peer()) for _ in range(3)]
    assert losses[0][0] == pytest.approx(losses[0][1], rel=0.01)
    assert losses[-1][0] == pytest.approx(losses[-1][1], rel=0.1)
    assert losses[-1][0] != losses[0][0]


def test_fast_peer_computes_what_the_twin_does() -> None:
    from orchestrator.bench.peer_network import FastTwin
    from orchestrator.studies.torch_twin import torch_module

    graph = small(network="resnet29_bottleneck", image_size=8).graph
    twin, fast = torch_module(graph).double(), FastTwin(graph).double()
    fast.load_state_dict(twin.state_dict())
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    gradients = []
    for module in (twin, fast):
        module.train()(x).square().sum().backward()
        gradients.append({name: p.grad for name, p in module.named_parameters()})
    assert set(gradients[0]) == set(gradients[1])
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected)


def test_figures_of_a_small_run() -> None:
    result = run(network="resnet8", batch=4, ghost_batch=2, rounds=2, image_size=16)
    for key in ("images_per_cpu_s", "images_per_s", "peak_mib", "before_mib"):
        assert result[key] > 0 and result[f"peer_{key}"] > 0
    assert result["peak_mib"] > result["before_mib"]
    assert len(result["cpu_ratios"]) == len(result["wall_ratios"]) == 2
    assert min(result["cpu_ratios"]) <= result["cpu_ratio"] <= max(result["cpu_ratios"])
    assert result["memory_ratio"] > 0
    assert result["loss"] == pytest.approx(result["peer_loss"], rel=0.1)
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(table(result))
    text = " ".join(console.export_text().split())
    assert "images per CPU second" in text and "ghost batches of 2" in text


def test_peak_memory_is_the_processs_own() -> None:
    """A child's peak must not be what this process, with torch in it, once held."""
    held = np.ones(100_000_000, np.uint8)
    found = step_memory.measure_alone("regatta", small(batch=1, ghost_batch=1))
    assert 0 < found["before_mib"] < found["peak_mib"] < held.nbytes / 2**20 + 100


def test_failed_memory_process_is_told() -> None:
    with pytest.raises(RunError, match="memory of regatta ended with code 1: .*kernel set 'neon'"):
        step_memory.measure_alone("regatta", small(kernel_set="neon"))


def test_networks_have_their_usual_input() -> None:
    assert default_input("resnet20") == default_input("resnet29_bottleneck") == (32, 10)
    assert default_input("resnet50") == default_input("vgg16") == (224, 1000)


@pytest.mark.parametrize("key", ["batch", "ghost_batch", "rounds", "threads"])
def test_nothing_to_measure(key: str) -> None:
    with pytest.raises(ArgumentError, match=f"{key} is 0, at least 1"):
        run(**{key: 0})


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ArgumentError, match="ghost_batch is 32, at most the batch of 16"):
        run(ghost_batch=32)
    with pytest.raises(ConfigError, match="no network 'resnet51'"):
        run(network="resnet51")


def test_missing_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingToolError, match="bench step .* pip install torch"):
        run(network="resnet8")
