"""What the loader makes of images: tables, plain programs, nonsense."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.image import Image
from orchestrator.virtual.running.program import LOADER, LoadError, read_program
from orchestrator.wire.layout import LOAD_AREA
from orchestrator.wire.numbers import CoreState

COPY, RELATIVE, FILL, EXECUTE, END = 1, 2, 3, 4, 0xFFFFFFFF
RTE_DATA_ABORT = 5


def table(*entries: tuple[int, ...], data: bytes = b"") -> bytes:
    return b"".join(struct.pack("<4I", *entry) for entry in entries) + data


def load(image: bytes) -> ChipMemory:
    memory = ChipMemory()
    memory.write(LOAD_AREA, image)
    return memory


def test_every_command_moves_whole_units_of_32_bytes() -> None:
    data = bytes(range(96))
    image = table(
        (RELATIVE, 0x100, 96, 33),
        (COPY, 0x400000, LOAD_AREA + 80, 32),
        (FILL, 0x401000, 40, 0x11223344),
        (RELATIVE, 0x60240000, 32, 1),
        (EXECUTE, 0x100, 0, 0),
        (END, 0, 0, 0),
        data=data,
    )
    memory = load(image)
    program = read_program(memory, LOAD_AREA)
    assert program.start == 0x100
    placed = [(segment.address, segment.data) for segment in program.segments]
    assert placed == [
        (0x100, data[:64]),
        (0x400000, memory.read(LOAD_AREA + 80, 32)),
        (0x401000, bytes.fromhex("44332211") * 16),
    ]
    assert memory.read(0x60240000, 36) == memory.read(LOAD_AREA + 80, 32) + bytes(4)


def test_our_image_is_what_the_linker_made(image: Image) -> None:
    program = read_program(load(image.binary), LOAD_AREA)
    assert program.start == 0
    loaded = [part for part in image.segments if part.data]
    assert len(program.segments) == len(loaded)
    for segment, part in zip(program.segments, loaded, strict=True):
        assert segment.address == part.address
        assert segment.data.rstrip(b"\0") == part.data.rstrip(b"\0")


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ([(RELATIVE, LOADER - 32, 64, 64), (EXECUTE, 0, 0, 0)], "code up to 0x7fe0"),
        ([(RELATIVE, 0x410000 - 32, 64, 64), (EXECUTE, 0, 0, 0)], "not in the chip's"),
        ([(COPY, 0, 0x50000000, 64), (EXECUTE, 0, 0, 0)], "not in the chip's"),
        ([(COPY, 0x20000000, LOAD_AREA, 64), (EXECUTE, 0, 0, 0)], "not in the chip's"),
        ([(FILL, 0x60240000, 0xFFFFFFFF, 0), (EXECUTE, 0, 0, 0)], "copies more than"),
        ([(FILL, 0x400000, 64, 0), (END, 0, 0, 0)], "ends without a start"),
        ([(RELATIVE, 0, 0xF0000000, 32), (EXECUTE, 0, 0, 0)], "not in the chip's"),
    ],
)
def test_impossible_tables_are_refused_and_shown_to_hosts(bench, entries, fault: str) -> None:
    image = table(*entries)
    with pytest.raises(LoadError, match=fault) as refused:
        read_program(load(image), LOAD_AREA)
    bench.load(image, 4)
    assert bench.settle() is None
    block = bench.vcpu(4)
    assert bench.row.states[(0, 0), 4] == [CoreState.RUN_TIME_ERROR]
    assert block[44] == RTE_DATA_ABORT and block[46] == CoreState.RUN_TIME_ERROR
    assert struct.unpack_from("<4I", block) == refused.value.entry
    assert struct.unpack_from("<I", block, 40) == (refused.value.address,)


def test_a_plain_program_starts_at_0(bench, build: Callable[[str], bytes]) -> None:
    aplx = build("start: mov r1, #0x60000000\n str r0, [r1]\n b stay\n")
    offset = struct.unpack_from("<4I", aplx)[2]
    bench.load(aplx[offset:], 1, app_id=77)
    bench.settle()
    assert bench.words(0x60000000, 1) == [77]


def test_a_program_starts_with_application_and_flags_where_its_table_says(bench, build) -> None:
    source = "start: b start\nother: mov r1, #0x60000000\n str r0, [r1]\n b stay\n"
    aplx = bytearray(build(source))
    rows = [struct.unpack_from("<4I", aplx, 16 * i) for i in range(3)]
    execute = next(i for i, row in enumerate(rows) if row[0] == EXECUTE)
    struct.pack_into("<I", aplx, 16 * execute + 4, 0x20 + 8)
    bench.load(bytes(aplx), 1, app_id=40, wait=True)
    bench.run(20_000)
    assert bench.state(1) in (CoreState.INITIALISING, CoreState.RUN_TIME_ERROR)
    assert bench.words(0xE5000010, 2) == [LOAD_AREA, 0x100 | 40]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.integers(0, 2**32 - 1), max_size=64), first=st.integers(0, 5))
def test_any_bytes_give_a_program_or_a_refusal(words: list[int], first: int) -> None:
    image = np.array([first, *words], "<u4").tobytes()
    try:
        program = read_program(load(image), LOAD_AREA)
    except LoadError:
        return
    for segment in program.segments:
        end = segment.address + len(segment.data)
        assert end <= 0x8000 or 0x400000 <= segment.address <= end <= 0x410000
