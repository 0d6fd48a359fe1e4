"""The perceptron: sizes and names."""

from orchestrator.model.mlp import mlp


def test_sizes_and_names() -> None:
    graph = mlp((8, 8, 1), 10, (32, 16))
    assert [parameter.name for parameter in graph.parameters] == [
        f"{layer}.{kind}" for layer in ("fc1", "fc2", "fc") for kind in ("weight", "bias")
    ]
    assert graph.parameter_count == 64 * 32 + 32 + 32 * 16 + 16 + 16 * 10 + 10
    assert graph.macs == 64 * 32 + 32 * 16 + 16 * 10


def test_no_hidden_layer_is_a_linear_classifier_and_vectors_work() -> None:
    assert mlp((64,), 10, ()).parameter_count == 650
