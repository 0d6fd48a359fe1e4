"""Transfers against a board on a socket that loses, doubles and reorders what it gets and sends."""

import random

import pytest
from scripted_board import BASE, ScriptedBoard

from orchestrator.boards.hardware.exchange import REFUSALS, BoardLink, exchange
from orchestrator.boards.hardware.failures import BoardDead, Refused
from orchestrator.boards.hardware.pieces import Call, Read, Write
from orchestrator.errors import ArgumentError
from orchestrator.wire.numbers import Command, Result


def link_to(board, **settings):
    return BoardLink("127.0.0.1", board.port, **settings)


def some_bytes(size, seed=0):
    return random.Random(seed).randbytes(size)


BAD = {"loss": 0.05, "doubled": 0.05, "reordered": 0.05}


@pytest.mark.parametrize("faults", [{}, BAD, BAD | {"loss": 0.3}], ids=["none", "5 %", "30 % lost"])
def test_what_is_written_is_there_and_is_read_back(faults):
    data = some_bytes(200_001)
    with ScriptedBoard(**faults) as board, link_to(board) as link:
        assert exchange([(link, [Write(1, 2, BASE + 3, data)])]) == [[None]]
        assert board.memory[3 : 3 + len(data)] == data
        assert not any(board.memory[:3]) and not any(board.memory[3 + len(data) :])
        assert exchange([(link, [Read(1, 2, BASE + 3, len(data))])]) == [[data]]
        assert {request[1:3] for request in board.requests} == {(1, 2)}


@pytest.mark.parametrize("seed", range(3))
def test_no_copy_under_way_undoes_a_later_write(seed):
    late = {"loss": 0.1, "reordered": 0.1, "delay_s": 0.015}
    with ScriptedBoard(seed=seed, **late) as board, link_to(board) as link:
        for turn in range(20):
            exchange([(link, [Write(0, 0, BASE, bytes([turn]) * 4096)])])
        assert link.window.repeated > 0
    assert board.written == sorted(board.written)


def test_what_is_sent_again_is_counted():
    with ScriptedBoard(loss=0.1) as board, link_to(board) as link:
        exchange([(link, [Write(0, 0, BASE, bytes(100_000))])])
        assert link.window.repeated > 0
        assert 391 <= len(board.requests) <= 391 + link.window.repeated


def test_many_pieces_on_several_boards_come_back_in_their_order():
    with ScriptedBoard(**BAD) as one, ScriptedBoard(**BAD, seed=1) as two:
        with link_to(one) as first, link_to(two) as second:
            for number, board in enumerate((one, two)):
                board.memory[:] = some_bytes(len(board.memory), number)
            reads = [Read(0, 0, BASE + 1000 * i, 100 + i) for i in range(50)]
            found = exchange([(first, reads), (second, [])])
            assert found[1] == []
            found = exchange([(first, reads), (second, reads[::-1])])
            for board, pieces, results in zip((one, two), (reads, reads[::-1]), found, strict=True):
                for piece, result in zip(pieces, results, strict=True):
                    at = piece.address - BASE
                    assert result == board.memory[at : at + piece.size]


def test_commands_are_carried_out_and_their_answers_given():
    with ScriptedBoard() as board, link_to(board) as link:
        fill = Call(3, 4, Command.FILL, BASE + 8, 0x01020304, 12)
        assert exchange([(link, [fill])]) == [[b""]]
        assert board.memory[:24].hex() == "00" * 8 + "04030201" * 3 + "00" * 4


def test_a_busy_chip_is_asked_again():
    with ScriptedBoard(refuse_first=2) as board, link_to(board) as link:
        exchange([(link, [Write(0, 0, BASE, b"abcd")])])
        assert board.memory[:4] == b"abcd" and len(board.requests) == 3


def test_a_chip_that_stays_busy_refuses():
    with ScriptedBoard(refuse_first=100) as board, link_to(board) as link:
        with pytest.raises(Refused, match=r"chip \(5, 6\).*P2P_BUSY") as caught:
            exchange([(link, [Read(5, 6, BASE, 4)])])
        assert caught.value.result is Result.P2P_BUSY
        assert len(board.requests) == REFUSALS + 1


def test_a_refusal_names_chip_address_and_result_and_the_link_stays_of_use():
    with ScriptedBoard(size=1024) as board, link_to(board) as link:
        with pytest.raises(Refused) as caught:
            exchange([(link, [Write(7, 1, BASE + 512, bytes(1024))])])
        assert caught.value.result is Result.ARGUMENT
        for part in ("chip (7, 1)", "board 127.0.0.1", "write of 1024 bytes", "ARGUMENT", "256"):
            assert part in str(caught.value)
        board.memory[:4] = b"left"
        assert exchange([(link, [Read(0, 0, BASE, 4)])]) == [[b"left"]]


def test_a_board_that_falls_silent_is_dead():
    with ScriptedBoard(silent_after=5) as board, link_to(board, patience_s=0.4) as link:
        with pytest.raises(BoardDead, match=r"127\.0\.0\.1.*not answered for 0.4 s.*silent"):
            exchange([(link, [Write(0, 0, BASE, bytes(10_000))])])


def test_a_host_without_a_board_is_dead():
    with ScriptedBoard() as board:
        port = board.port
    with BoardLink("127.0.0.1", port, patience_s=0.3) as link:
        with pytest.raises(BoardDead, match="nothing takes its datagrams"):
            exchange([(link, [Read(0, 0, BASE, 4)])])


def test_a_host_without_a_name_is_refused():
    with pytest.raises(ArgumentError, match="no-such-host.invalid"):
        BoardLink("no-such-host.invalid")


def test_a_pause_between_exchanges_is_no_silence():
    with ScriptedBoard() as board, link_to(board, patience_s=0.3) as link:
        exchange([(link, [Read(0, 0, BASE, 4)])])
        link.window.heard_at -= 100
        exchange([(link, [Read(0, 0, BASE, 4)])])
