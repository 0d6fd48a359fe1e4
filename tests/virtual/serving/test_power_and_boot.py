import struct

import pytest
from boards import IMAGE, Boards, boot_datagrams

from orchestrator.machine.links import Link
from orchestrator.virtual.serving.board import BoardState
from orchestrator.virtual.serving.topology import STOP_REGISTERS
from orchestrator.wire.answers import decode_measurements, decode_version
from orchestrator.wire.numbers import BmpCommand, Command, Result

ONE = "{shape: spinn5}"
TRIAD = "{shape: triads}"
B0, B1, B2 = (0, 0, 0), (0, 0, 1), (0, 0, 2)
VERSION = Command.VERSION


def isolate(boards, job):
    """Stop all links that leave the boards of a job, as spalloc_server does."""
    for name, board in boards.boards.items():
        if name not in job:
            continue
        for link in Link:
            if boards.installation.site.neighbour(name, link) not in job:
                board.set_fpga_word(*STOP_REGISTERS[link], 1)


def test_a_board_is_silent_until_it_has_booted():
    boards = Boards("{shape: spinn5, powered: false}")
    assert boards.ask(B0, 255, 255, VERSION) is None
    boards.boot(B0)
    assert boards.ask(B0, 255, 255, VERSION) is None, "without power there is no boot"
    assert boards.power(True, 0) == (Result.OK, b"")
    assert boards.ask(B0, 255, 255, VERSION) is None
    for datagram in boot_datagrams():
        boards.installation.boot_datagram(boards.boards[B0], datagram)
    booting = decode_version(boards.ask(B0, 255, 255, VERSION)[1])
    assert (booting.name, booting.x, booting.y) == ("SC&MP/SpiNNaker", 255, 255)
    assert boards.ask(B0, 0, 0, Command.INFO) is None
    boards.wait(0.5)
    booted = decode_version(boards.ask(B0, 255, 255, VERSION)[1])
    assert (booted.x, booted.y) == (0, 0)
    assert boards.power(False, 0) == (Result.OK, b"")
    assert boards.ask(B0, 255, 255, VERSION) is None
    assert not boards.installation.machines


def test_the_image_gives_the_first_system_variables():
    boards = Boards(ONE)
    boards.boot(B0)
    data = boards.ask(B0, 1, 1, Command.READ, 0xF5007F0C, 4, 2)[1]
    assert data == bytes([12, 13, 14, 15])
    boards.boot(B0)
    assert len(boards.installation.machines) == 1, "a booted board ignores images"


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (IMAGE.replace(b"SARK", b"LINUX"[:4]), "not SpiNNaker's system software"),
        (IMAGE[:504], "504 bytes are no image"),
    ],
)
def test_what_is_no_image_does_not_boot(image, reason):
    boards = Boards(ONE)
    boards.boot(B0, image)
    assert boards.boards[B0].state is BoardState.POWERED
    assert len(boards.events) == 1 and reason in boards.events[0]
    boards.boot(B0)
    assert boards.boards[B0].state is BoardState.BOOTED


@pytest.mark.parametrize("lost", range(5))
def test_a_lost_datagram_of_the_boot_leaves_the_board_as_it_was(lost):
    boards = Boards(ONE)
    datagrams = boot_datagrams()
    for datagram in datagrams[:lost] + datagrams[lost + 1 :]:
        boards.installation.boot_datagram(boards.boards[B0], datagram)
    boards.wait(1.0)
    assert boards.boards[B0].state is BoardState.POWERED
    for datagram in [*datagrams, *datagrams[1:3]]:  # some twice, after the start
        boards.installation.boot_datagram(boards.boards[B0], datagram)
    boards.wait(1.0)
    assert boards.boards[B0].state is BoardState.BOOTED


def test_power_lost_during_a_boot_ends_it():
    boards = Boards(ONE)
    for datagram in boot_datagrams():
        boards.installation.boot_datagram(boards.boards[B0], datagram)
    boards.power(True, 0)
    boards.wait(1.0)
    assert boards.boards[B0].state is BoardState.POWERED
    assert not boards.installation.machines


def test_a_boot_that_power_ended_does_not_hasten_the_next():
    boards = Boards("{shape: spinn5, boot_ms: 500}")
    for datagram in boot_datagrams():
        boards.installation.boot_datagram(boards.boards[B0], datagram)
    boards.wait(0.4)
    boards.power(True, 0)
    for datagram in boot_datagrams():
        boards.installation.boot_datagram(boards.boards[B0], datagram)
    boards.wait(0.2)
    assert boards.boards[B0].state is BoardState.BOOTING
    boards.wait(0.4)
    assert boards.boards[B0].state is BoardState.BOOTED
    assert len(boards.installation.machines) == 1


def test_boards_that_lose_their_root_during_a_boot_wait_for_another():
    boards = Boards(TRIAD)
    for datagram in boot_datagrams():
        boards.installation.boot_datagram(boards.boards[B0], datagram)
    assert {board.state for board in boards.boards.values()} == {BoardState.BOOTING}
    boards.power(False, 0)
    boards.wait(1.0)
    assert boards.boards[B1].state is boards.boards[B2].state is BoardState.POWERED
    boards.boot(B2)
    assert len(boards.plan(B2).chips) == 96


@pytest.mark.parametrize(
    ("text", "job", "root", "size"),
    [
        ("{shape: triads}", [B0, B1, B2], B0, (12, 12)),
        ("{shape: triads, torus: [false, false]}", [B0, B1, B2], B0, (16, 16)),
        ("{shape: triads, triads: [2, 1]}", [B0, B1, B2], B0, (16, 12)),
        ("{shape: triads, triads: [2, 1]}", [(1, 0, z) for z in range(3)], (1, 0, 0), (16, 12)),
        ("{shape: triads, triads: [2, 2]}", [B0, B1, B2], B0, (16, 16)),
        ("{shape: triads}", [B2], B2, (8, 8)),
        ("{shape: triads}", [B0, B1], B0, None),
    ],
)
def test_the_size_of_a_machine_is_that_of_the_boards_joined(text, job, root, size):
    boards = Boards(text)
    isolate(boards, job)
    boards.boot(root)
    plan = boards.plan(root)
    assert boards.boards[root].ethernet == (0, 0)
    assert len(plan.chips) == 48 * len(job)
    if size is not None:
        assert (plan.width, plan.height) == size
    others = [name for name in boards.boards if name not in job]
    assert all(boards.boards[name].state is BoardState.POWERED for name in others)


@pytest.mark.parametrize(
    "text",
    [
        "{shape: triads, triads: [2, 2]}",
        "{shape: triads, triads: [2, 2], torus: [false, true]}",
        "{shape: triads, triads: [2, 2], dead: {boards: [[0, 1, 1]], chips: [[9, 9], [4, 8]]}}",
        "{shape: triads, triads: [1, 2], dead: {links: [[0, 0, 3]], cables: [[0, 0, 2, 0]]}}",
    ],
)
@pytest.mark.parametrize("root", [B0, B1, (0, 1, 2)])
def test_a_machine_is_the_built_one_seen_from_its_root(text, root):
    boards = Boards(text)
    boards.boot(root)
    plan = boards.plan(root)
    built = boards.installation.site.machine
    places = {chip.place: at for at, chip in plan.chips.items()}
    assert len(places) == len(plan.chips) == built.n_chips
    for at, ends in plan.links.items():
        assert 0 <= at[0] < plan.width and 0 <= at[1] < plan.height
        for link, there in enumerate(ends):
            end = built.neighbour(*plan.chips[at].place, Link(link))
            assert there == (places[end] if end is not None else None)
            if there is not None:
                step = Link(link).step
                expected = ((at[0] + step[0]) % plan.width, (at[1] + step[1]) % plan.height)
                assert there == expected and plan.links[there][Link(link).opposite] == at
    with_host = [chip for chip in plan.chips.values() if chip.ip_address]
    assert len(with_host) == int(built.has_host_link.sum())
    assert {chip.ethernet for chip in plan.chips.values()} == {
        at for at, chip in plan.chips.items() if chip.ip_address
    }


def test_a_board_that_loses_power_leaves_the_others_running():
    boards = Boards("{shape: triads, booted: true}")
    boards.installation.boot_all()
    assert len(boards.plan(B0).chips) == 144
    at = boards.boards[B1].ethernet
    boards.power(False, 1)
    assert boards.ask(B1, *at, VERSION) is None
    assert boards.ask(B0, *at, VERSION) == (Result.ROUTE, b"")
    assert boards.ask(B2, *boards.boards[B2].ethernet, VERSION)[0] == Result.OK
    assert len(boards.plan(B0).chips) == 96
    boards.power(True, 1)
    boards.boot(B1)
    assert boards.boards[B1].ethernet == (0, 0) and len(boards.plan(B1).chips) == 48


def test_a_board_whose_ethernet_chip_is_dead_does_not_boot():
    boards = Boards("{shape: spinn5, dead: {chips: [[0, 0]]}}")
    boards.boot(B0)
    assert boards.boards[B0].machine is None
    assert any("Ethernet chip is dead" in event for event in boards.events)


def test_a_dead_board_is_silent():
    boards = Boards("{shape: triads, dead: {boards: [[0, 0, 1]]}}")
    boards.boot(B1)
    assert boards.ask(B1, 255, 255, VERSION) is None
    boards.boot(B0)
    assert len(boards.plan(B0).chips) == 96


def test_bmp_registers_leds_and_measurements():
    boards = Boards(TRIAD)
    value = struct.pack("<2I", 1, 0xFFFF)
    write, read = BmpCommand.FPGA_WRITE, BmpCommand.FPGA_READ
    assert boards.ask_bmp(1, write, 0x5C, 8, 2, data=value) == (Result.OK, b"")
    assert boards.ask_bmp(1, read, 0x5C, 8, 2) == (Result.OK, value)
    assert boards.ask_bmp(0, read, 0x5C, 8, 2) == (Result.OK, bytes(8))
    assert boards.boards[B1].is_open(Link.NORTH) is False
    boards.power(True, 1)
    assert boards.ask_bmp(1, read, 0x5C, 8, 2) == (Result.OK, bytes(8))
    assert [boards.ask_bmp(2, read, 0x40004, 4, f)[1][0] & 3 for f in range(3)] == [0, 1, 2]
    for args in ((0x5C, 4, 3), (0x5D, 4, 0), (0x5C, 260, 0), (0x5C, 3, 0)):
        assert boards.ask_bmp(0, read, *args) == (Result.ARGUMENT, b"")
        assert boards.ask_bmp(0, write, *args, data=bytes(256))[0] == Result.ARGUMENT
    assert boards.ask_bmp(0, write, 0x5C, 8, 0, data=bytes(4))[0] == Result.LENGTH
    assert boards.ask_bmp(7, read, 0x5C, 4, 0)[0] == Result.CPU
    boards.ask_bmp(0, BmpCommand.LED, 0b11, 0b101)
    assert [boards.boards[b].leds for b in (B0, B1, B2)] == [1, 0, 1]
    warm = decode_measurements(boards.ask_bmp(0, BmpCommand.INFO, 3)[1])
    boards.power(False, 0)
    cold = decode_measurements(boards.ask_bmp(0, BmpCommand.INFO, 3)[1])
    assert warm.temperatures[0] > cold.temperatures[0]
    assert boards.ask_bmp(0, BmpCommand.INFO, 4)[0] == Result.ARGUMENT
    assert boards.ask_bmp(0, BmpCommand.POWER, 2, 1)[0] == Result.ARGUMENT
    assert boards.ask_bmp(0, 99)[0] == Result.COMMAND
    assert boards.frame.handle(bytes(5)) is None


def test_registers_that_hosts_make_up_do_not_take_all_memory():
    boards = Boards(ONE)
    results = set()
    for page in range(20):
        data = bytes(256)
        answer = boards.ask_bmp(0, BmpCommand.FPGA_WRITE, 0x100 * page, 256, 0, data=data)
        results.add(answer[0])
    assert results == {Result.OK, Result.ARGUMENT}
