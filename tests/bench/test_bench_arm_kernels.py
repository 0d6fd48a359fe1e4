"""``bench kernels --target arm968``: every layer and pass, plain C that computes the same."""

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.bench.arm_kernels import rounding_shift, run, share, table
from orchestrator.bench.kernels import PASSES
from orchestrator.bench.plain_tiles import (
    SHIFT,
    PlainProgram,
    PlainTile,
    build_plain,
    plain_tile,
    random_operands,
    run_plain,
)
from orchestrator.cli import app
from orchestrator.dfp import LIMIT13, LIMIT16, round_saturate
from orchestrator.errors import ArgumentError, MissingToolError
from orchestrator.model.shapes import ConvShape
from orchestrator.virtual.image import find_compiler

SHAPES = {
    "3x3": ConvShape.of(1, 6, 6, 64, 64, 3, 3, 1, 1),
    "3x3/2": ConvShape.of(1, 8, 8, 64, 64, 3, 3, 2, 1),
    "1x1/2": ConvShape.of(1, 8, 8, 64, 64, 1, 1, 2),
    "image": ConvShape.of(1, 9, 9, 3, 64, 7, 7, 2, 3),
    "dense": ConvShape.dense(1, 300, 10),
}


@pytest.fixture(scope="module")
def plain() -> PlainProgram:
    try:
        return build_plain()
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    try:
        find_compiler()
    except MissingToolError as error:
        pytest.skip(str(error))
    return run(network="resnet8", image_size=8, batch=1)


def test_figures_of_a_small_run(small: dict[str, Any]) -> None:
    assert small["bench"] == "arm_kernels"
    first, *others = small["layers"]
    assert list(first["passes"]) == ["forward", "weight gradient"]
    assert all(list(layer["passes"]) == list(PASSES) for layer in others)
    for layer in small["layers"]:
        for name, entry in layer["passes"].items():
            awake = entry["cycles"] - entry["sleep_cycles"]
            assert 0 < awake < entry["cycles"]
            assert entry["mac_per_cycle"] == pytest.approx(entry["macs"] / awake, 0.01)
            assert entry["dma_bytes"] > 0 and entry["dma_transfers"] > 0
            assert (entry["packing_cycles"] > 0) == (name != "weight gradient")


def test_table_shows_every_layer(small: dict[str, Any]) -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(table(small))
    text = console.export_text()
    assert all(layer["name"] in text for layer in small["layers"])


def test_sums_are_rounded_into_sixteen_bits() -> None:
    rng = np.random.default_rng(0)
    for terms in (27, 64, 1152, 4608):
        x, w = rng.integers(-LIMIT13, LIMIT13 + 1, (2, 2000, terms))
        largest = int(np.abs((x * w).sum(axis=1)).max()) >> rounding_shift(terms)
        assert LIMIT16 // 8 < largest <= LIMIT16


def test_a_share_is_some_channels_of_the_result() -> None:
    shape = ConvShape.of(16, 14, 14, 256, 1024, 1, 1)
    parts = {name: share(name, shape) for name in PASSES}
    assert (parts["forward"].n, parts["forward"].c, parts["forward"].k) == (2, 256, 64)
    assert (parts["input gradient"].c, parts["input gradient"].k) == (64, 1024)
    assert parts["weight gradient"].w_shape == (32, 1, 1, 32) and parts["weight gradient"].n == 16


def expected(tile: PlainTile, first: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return a tile's result by definition."""
    a, b = first.astype(np.int64), other.astype(np.int64)
    if tile.number == 2:
        result = np.zeros((tile.outputs, tile.r, tile.s, tile.width), np.int64)
    else:
        result = np.zeros((tile.outputs, tile.rows, tile.columns), np.int64)
    for row, column, i, j in np.ndindex(tile.rows, tile.columns, tile.r, tile.s):
        if tile.number == 1:
            if (row - i) % tile.stride or (column - j) % tile.stride:
                continue
            at = (tile.r + (row - i) // tile.stride, tile.s + (column - j) // tile.stride)
            result[:, row, column] += np.einsum("kc,okc->o", a[:, *at], b[:, i, j])
            continue
        window = a[:, row * tile.stride + i, column * tile.stride + j]
        if tile.number == 0:
            result[:, row, column] += np.einsum("kc,okc->o", window, b[:, i, j])
        else:
            result[:, i, j] += np.outer(b[row, column, : tile.outputs], window[0])
    return result if tile.number == 2 else round_saturate(result, SHIFT, 32767)[0]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("name", PASSES)
def test_plain_c_computes_the_tile(plain: PlainProgram, name: str, shape: ConvShape) -> None:
    tile = plain_tile(name, shape)
    operands = random_operands(tile)
    cycles, found = run_plain(plain, tile, operands)
    np.testing.assert_array_equal(found, expected(tile, *operands).reshape(-1))
    assert tile.products < cycles < 1000 * tile.products


def test_nothing_to_measure() -> None:
    with pytest.raises(ArgumentError, match="batch is 0, at least 1"):
        run(batch=0)


@pytest.mark.parametrize("option", ["--rounds", "--threads"])
def test_options_of_the_host_are_refused(option: str) -> None:
    words = ["bench", "kernels", "--target", "arm968", option, "2"]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ArgumentError)
    assert f"{option} is for --target host" in str(result.exception)
