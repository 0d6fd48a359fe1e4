"""ONNX export: onnxruntime computes what the float twin computes, from raw pixels."""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from orchestrator.errors import ArgumentError, MissingToolError
from orchestrator.model.graph import Graph, build_graph
from orchestrator.model.layers import AvgPool2D, Conv2D, Dense, Dropout, Flatten, Input
from orchestrator.model.mlp import mlp
from orchestrator.model.naming import internal_shapes
from orchestrator.model.onnx_export import OPSET, export_onnx
from orchestrator.model.resnet import cifar_resnet, imagenet_resnet
from orchestrator.studies.torch_twin import torch_module

MEAN = (Fraction(485, 1000), Fraction(456, 1000), Fraction(406, 1000))
STD = (Fraction(229, 1000), Fraction(224, 1000), Fraction(225, 1000))


def random_state(graph: Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    state = {}
    for name, shape in internal_shapes(graph).items():
        fan_in = int(np.prod(shape[1:]))
        if len(shape) > 1:
            state[name] = rng.standard_normal(shape) * (2 / fan_in) ** 0.5
        elif name.endswith(("running_var", ".weight")):
            state[name] = rng.uniform(0.5, 1.5, shape)
        else:
            state[name] = rng.uniform(-0.3, 0.3, shape)
    return {name: array.astype(np.float32) for name, array in state.items()}


def odd_layers() -> Graph:
    x = Input((7, 5, 3))
    y = AvgPool2D(3, 2, 1, name="pool")(Conv2D(4, (1, 3), name="conv", bias=False)(x))
    y = Dropout(0.5, name="drop")(Flatten(name="flat")(y))
    return build_graph(x, Dense(3, bias=False, name="fc")(y))


GRAPHS = {
    "resnet8": lambda: cifar_resnet(8, (32, 32, 3), 10),
    "resnet18": lambda: imagenet_resnet(18, (40, 40, 3), 7),
    "mlp": lambda: mlp((8, 6, 3), 7, (20,)),
    "odd layers": odd_layers,
}


@pytest.mark.parametrize("name", GRAPHS)
def test_onnxruntime_computes_what_the_twin_computes(name: str, tmp_path: Path) -> None:
    graph = GRAPHS[name]()
    state = random_state(graph)
    path = tmp_path / "model.onnx"
    export_onnx(graph, state, path, mean=MEAN, std=STD)
    assert [item.name for item in tmp_path.iterdir()] == ["model.onnx"]
    height, width, _ = graph.input_shape
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, height, width)).astype(np.float32)
    twin = torch_module(graph).eval()
    twin.load(state)
    mean, std = (torch.tensor([float(v) for v in s]).view(3, 1, 1) for s in (MEAN, STD))
    with torch.no_grad():
        expected = twin((torch.from_numpy(pixels) / 255 - mean) / std).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (got,) = session.run(["logits"], {"input": pixels})
    scale = np.abs(expected).max()
    np.testing.assert_allclose(got, expected, atol=1e-4 * scale)
    (one,) = session.run(["logits"], {"input": pixels[:1]})
    np.testing.assert_allclose(one, got[:1], atol=1e-4 * scale)


def test_the_file_says_what_it_takes(tmp_path: Path) -> None:
    graph = cifar_resnet(8, (32, 32, 3), 10)
    export_onnx(graph, random_state(graph), tmp_path / "m.onnx", mean=MEAN, std=STD)
    model = onnx.load(tmp_path / "m.onnx")
    assert model.opset_import[0].version == OPSET == 17
    (image,), (logits,) = model.graph.input, model.graph.output
    dims = [dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim]
    assert (image.name, dims) == ("input", ["N", 3, 32, 32])
    dims = [dim.dim_param or dim.dim_value for dim in logits.type.tensor_type.shape.dim]
    assert (logits.name, dims) == ("logits", ["N", 10])
    weights = {item.name for item in model.graph.initializer}
    assert set(internal_shapes(graph)) < weights


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    graph = cifar_resnet(8, (32, 32, 3), 10)
    state = random_state(graph)
    target = tmp_path / "m.onnx"
    with pytest.raises(ArgumentError, match=r"mean \[0.485\] .* do not fit 3 channel"):
        export_onnx(graph, state, target, mean=MEAN[:1], std=STD)
    with pytest.raises(ArgumentError, match="std above 0"):
        export_onnx(graph, state, target, mean=MEAN, std=(Fraction(0), *STD[1:]))
    weights = {name: array for name, array in state.items() if "running" not in name}
    with pytest.raises(ArgumentError, match=r"statistics are missing: bn1\.running_mean"):
        export_onnx(graph, weights, target, mean=MEAN, std=STD)
    assert not list(tmp_path.iterdir())


def test_without_onnx_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    graph = mlp((2, 2, 3), 3, ())
    with pytest.raises(MissingToolError, match="pip install onnx"):
        export_onnx(graph, random_state(graph), tmp_path / "m.onnx", mean=MEAN, std=STD)
