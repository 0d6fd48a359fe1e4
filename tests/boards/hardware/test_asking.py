"""Single questions to boards and BMPs that answer late, wrongly or not at all."""

import socket
import struct
import threading

import pytest

from orchestrator.boards.hardware import bmp, probe
from orchestrator.boards.hardware.bmp import BmpLink
from orchestrator.boards.hardware.failures import BoardDead, Refused
from orchestrator.boards.hardware.probe import machine_size, who_answers

ADDRESS = "127.0.107.1"
OK, ARGUMENT = 0x80, 0x84
VERSION = struct.pack("<4B2HI", 0, 1, 0, 0, 256, 0xFFFF, 0) + b"SC&MP/SpiNNaker\x004.0.0\x00"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Wait less for answers that do not come."""
    monkeypatch.setattr(probe, "ANSWER_S", 0.1)
    monkeypatch.setattr(bmp, "TRIES", 2)


@pytest.fixture
def peer():
    """Start a board whose answers a function makes: peer(lambda sequence, tries: [datagrams])."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((ADDRESS, 17893))
    opened.settimeout(0.02)
    over = threading.Event()
    threads = []
    asked = []

    def start(answers):
        def serve():
            while not over.is_set():
                try:
                    datagram, sender = opened.recvfrom(512)
                except TimeoutError:
                    continue
                asked.append(datagram)
                (sequence,) = struct.unpack_from("<H", datagram, 12)
                for answer in answers(sequence, len(asked)):
                    opened.sendto(answer, sender)

        threads.append(threading.Thread(target=serve))
        threads[0].start()
        return asked

    yield start
    over.set()
    for thread in threads:
        thread.join()
    opened.close()


def answer(sequence, data=b"", result=OK):
    return bytes(10) + struct.pack("<2H", result, sequence) + data


def test_the_right_answer_is_found_among_others(peer):
    wrong = [b"", b"short", bytes(600), answer(999, b"other")]
    peer(lambda sequence, _: [*wrong, answer(sequence, VERSION)])
    version = who_answers(ADDRESS)
    assert (version.name, version.version) == ("SC&MP/SpiNNaker", "4.0.0")


def test_a_question_that_gets_lost_is_asked_again(peer):
    asked = peer(lambda sequence, tries: [answer(sequence, bytes([12, 16]))] if tries == 3 else [])
    assert machine_size(ADDRESS) == (16, 12)
    assert len(asked) == 3 and len(set(asked)) == 1


def test_silence_is_nobody(peer):
    peer(lambda *_: [])
    assert who_answers(ADDRESS) is None
    assert machine_size(ADDRESS) is None


def test_an_answer_that_is_no_version_is_nobody(peer):
    peer(lambda sequence, _: [answer(sequence, b"what?")])
    assert who_answers(ADDRESS) is None


def test_a_computer_without_a_board_is_named():
    with pytest.raises(BoardDead, match=rf"board {ADDRESS}: .*UDP port 17893"):
        who_answers(ADDRESS)


def test_a_bmp_that_refuses_is_named(peer):
    peer(lambda sequence, _: [answer(sequence, result=ARGUMENT)])
    with BmpLink(ADDRESS) as link:
        with pytest.raises(Refused, match="refuses POWER of slot 0: result 0x84"):
            link.set_power(True, [3])


@pytest.mark.parametrize("ask", [BmpLink.version, lambda link: link.measurements(0)])
def test_a_bmp_that_says_something_else_is_refused(peer, ask):
    peer(lambda sequence, _: [answer(sequence, b"what?")])
    with BmpLink(ADDRESS) as link:
        with pytest.raises(Refused, match="cannot be read"):
            ask(link)


def test_a_silent_bmp_is_dead(peer):
    peer(lambda *_: [])
    with BmpLink(ADDRESS) as link:
        with pytest.raises(BoardDead, match=r"does not answer \(VERSION, 2 tries of 0.5 s\)"):
            link.version()


def test_power_names_the_slots_in_one_mask(peer):
    asked = peer(lambda sequence, _: [answer(sequence)])
    with BmpLink(ADDRESS) as link:
        link.set_power(True, [0, 5, 5])
        link.set_power(False, [1])
    words = [struct.unpack_from("<H2x3I", datagram, 10) for datagram in asked]
    assert words == [(57, 1, 0b100001, 0), (57, 0, 0b10, 0)]
