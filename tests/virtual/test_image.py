"""The image builds, fits its memories, and says so when it cannot."""

import struct
from pathlib import Path

import pytest

from orchestrator.errors import ArgumentError, MissingToolError, RunError
from orchestrator.virtual import image as image_module
from orchestrator.virtual.elf import Segment
from orchestrator.virtual.image import (
    DTCM_BYTES,
    ITCM_BYTES,
    Image,
    aplx,
    build_image,
)
from orchestrator.virtual.stack_depth import LIBRARY_FRAME, read_call_graph


def test_image_fits_a_core(image: Image) -> None:
    assert 0 < image.itcm_bytes <= ITCM_BYTES
    assert 0 < image.dtcm_bytes <= DTCM_BYTES
    assert 0 < image.stack_bytes < image.symbols["stack_top"] - image.symbols["stack_limit"]


def test_code_is_at_zero_and_the_workspace_first_in_data(image: Image) -> None:
    assert image.segments[0].address == 0
    assert image.symbols["_start"] == 0
    assert image.symbols["workspace"] == 0x400000


def test_image_comes_from_the_cache(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_module, "_build", None)
    assert build_image().binary == image.binary


def test_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match="apt-get install gcc-arm-none-eabi"):
        build_image()


def test_program_ends_with_one_line_and_the_code_of_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as ended:
        image_module.main()
    assert ended.value.code == MissingToolError.exit_code
    assert capsys.readouterr().err.startswith("image: arm-none-eabi-gcc is not on PATH")


def test_compiler_that_does_not_run_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiler = tmp_path / "arm-none-eabi-gcc"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="does not work"):
        build_image()


def test_cache_that_cannot_be_written_is_named(
    image: Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("REGATTA_CACHE", str(tmp_path / "file" / "folder"))
    with pytest.raises(ArgumentError, match=r"file/folder: .*REGATTA_CACHE names another"):
        build_image()


def test_image_too_large_is_one_line(
    image: Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REGATTA_CACHE", str(tmp_path))
    sources = tmp_path / "board_kernels"
    (sources / "arm968").mkdir(parents=True)
    for path in (image_module._SOURCES / "arm968").iterdir():
        text = path.read_text()
        if path.name == "image.ld":
            text = text.replace("LENGTH = 32512", "LENGTH = 512")
        (sources / "arm968" / path.name).write_text(text)
    for folder in ("include", "kernels"):
        (sources / folder).symlink_to(image_module._SOURCES / folder)
    monkeypatch.setattr(image_module, "_SOURCES", sources)
    with pytest.raises(RunError, match=r"does not fit a core.*ITCM.* overflowed by \d+ bytes"):
        build_image()
    assert not list(tmp_path.glob("image-*"))


def test_aplx_copies_each_segment_and_starts_at_zero() -> None:
    parts = (Segment(0, b"code" * 9, 36), Segment(0x400000, b"data", 100), Segment(8, b"", 4))
    binary = aplx(parts)
    table = [struct.unpack_from("<4I", binary, 16 * i) for i in range(4)]
    assert [(row[0], row[1], row[3]) for row in table[:2]] == [(2, 0, 64), (2, 0x400000, 32)]
    for i, part in enumerate(parts[:2]):
        start = 16 * i + table[i][2]
        assert binary[start : start + len(part.data)] == part.data
    assert table[2][:2] == (4, 0)
    assert table[3][0] == 0xFFFFFFFF


def graph(*lines: str) -> str:
    return "\n".join(lines)


NODES = graph(
    r'node: { title: "main" label: "main\nmain.c:1:1\n16 bytes (static)\n0 dynamic objects" }',
    r'node: { title: "a.c:work" label: "work\na.c:1:1\n40 bytes (static)" }',
    r'node: { title: "run_a" label: "run_a\na.c:9:1\n8 bytes (static)" }',
    r'node: { title: "__aeabi_ldivmod" label: "__aeabi_ldivmod\n<built-in>" shape : ellipse }',
    'edge: { sourcename: "main" targetname: "__indirect_call" label: "main.c:3:1" }',
    'edge: { sourcename: "run_a" targetname: "a.c:work" label: "a.c:9:2" }',
)


def test_stack_follows_the_deepest_call() -> None:
    assert read_call_graph([NODES], [], ("run_",)).depth("main") == 16 + 8 + 40
    call = 'edge: { sourcename: "a.c:work" targetname: "product" label: "a.c:2:2" }'
    assembled = read_call_graph([graph(NODES, call)], ["@ stack product 36\n"], ("run_",))
    assert assembled.depth("main") == 64 + 36
    library = 'edge: { sourcename: "a.c:work" targetname: "__aeabi_ldivmod" label: "" }'
    assert read_call_graph([graph(NODES, library)], [], ("run_",)).depth("main") == (
        64 + LIBRARY_FRAME
    )


def test_stack_without_bound_is_refused() -> None:
    call = 'edge: { sourcename: "a.c:work" targetname: "run_a" label: "a.c:2:2" }'
    with pytest.raises(RunError, match="run_a calls itself"):
        read_call_graph([graph(NODES, call)], [], ("run_",)).depth("main")
    dynamic = r'node: { title: "f" label: "f\na.c:1:1\n16 bytes (dynamic)" }'
    with pytest.raises(RunError, match="f is dynamic"):
        read_call_graph([dynamic], [], ("run_",))
