"""Our image under the monitor's signals, its messages and its text."""

import pytest

from orchestrator.virtual.chip import SYSTEM_VARIABLES
from orchestrator.virtual.image import Image
from orchestrator.virtual.running.mailbox import BUFFERS
from orchestrator.virtual.tasks import Copy, Sync, Task, tape
from orchestrator.wire.datagrams import (
    HOST,
    REPLY_EXPECTED,
    ScpReply,
    ScpRequest,
    SdpAddress,
    SdpMessage,
    decode_reply,
    encode_request,
)
from orchestrator.wire.numbers import Command, CoreState, Result, Signal

SOURCE, TARGET, TAPE = 0x60240000, 0x60250000, 0x60260000
USER0, USER1, USER2, USER3, DONE = 112, 116, 120, 124, 96


def give_tape(bench, core: int, sequence: int, *tasks: Task) -> None:
    """Do what a host does: the tape, its address and number, one signal to wake the core."""
    memory = bench.row.chips[0, 0]
    memory.write(TAPE, tape(tasks))
    memory.write_word(memory.vcpu(core) + USER0, TAPE)
    memory.write_word(memory.vcpu(core) + USER1, sequence)
    bench.cores.signal(0, 0, [core], Signal.USER0)


def word(bench, core: int, offset: int) -> int:
    return int.from_bytes(bench.vcpu(core)[offset : offset + 4], "little")


def copy() -> Copy:
    return Copy(source=SOURCE, target=TARGET, bytes=8)


def test_image_starts_and_takes_tapes(bench, image: Image) -> None:
    bench.load(image.binary, 1, 5)
    assert bench.settle() is None
    assert bench.state(1) == bench.state(5) == CoreState.RUNNING
    assert bench.vcpu(5)[72:88].rstrip(b"\0") == b"regatta"
    bench.row.chips[0, 0].write(SOURCE, b"carried!")
    give_tape(bench, 5, 1, copy())
    assert bench.settle() is None
    assert bench.row.chips[0, 0].read(TARGET, 8) == b"carried!"
    assert word(bench, 5, DONE) == 1 and word(bench, 5, USER2) == 1
    assert word(bench, 1, DONE) == 0


def test_wait_holds_until_start(bench, image: Image) -> None:
    bench.load(image.binary, 1, 2, wait=True)
    bench.settle()
    assert bench.state(1) == bench.state(2) == CoreState.READY
    bench.cores.signal(0, 0, [1], Signal.START)
    bench.settle()
    assert (bench.state(1), bench.state(2)) == (CoreState.RUNNING, CoreState.READY)
    assert bench.row.states[(0, 0), 1] == [CoreState.READY, CoreState.RUNNING]


def test_pause_holds_between_tasks_until_continue(bench, image: Image) -> None:
    bench.load(image.binary, 1)
    bench.settle()
    bench.cores.signal(0, 0, [1], Signal.PAUSE)
    bench.settle()
    assert bench.state(1) == CoreState.PAUSED
    give_tape(bench, 1, 1, copy())
    bench.settle()
    assert bench.state(1) == CoreState.PAUSED and word(bench, 1, DONE) == 0
    bench.cores.signal(0, 0, [1], Signal.CONTINUE)
    bench.settle()
    assert bench.state(1) == CoreState.RUNNING and word(bench, 1, DONE) == 1


def test_exit_ends_for_good(bench, image: Image) -> None:
    bench.load(image.binary, 1)
    bench.settle()
    bench.cores.signal(0, 0, [1], Signal.EXIT)
    bench.cores.signal(0, 0, [1], Signal.CONTINUE)
    bench.settle()
    assert bench.state(1) == CoreState.FINISHED


def test_sync_signals_alternate(bench, image: Image) -> None:
    bench.load(image.binary, 1, 2)
    bench.settle()
    for core in (1, 2):
        give_tape(bench, core, 1, Sync(), Sync(), copy())
    bench.settle()
    assert bench.state(1) == bench.state(2) == CoreState.SYNC0
    bench.cores.signal(0, 0, [1, 2], Signal.SYNC1)
    bench.settle()
    assert bench.state(1) == CoreState.SYNC0
    bench.cores.signal(0, 0, [1, 2], Signal.SYNC0)
    bench.settle()
    assert bench.state(1) == bench.state(2) == CoreState.SYNC1
    bench.cores.signal(0, 0, [1], Signal.SYNC1)
    bench.settle()
    assert (bench.state(1), bench.state(2)) == (CoreState.RUNNING, CoreState.SYNC1)
    assert word(bench, 1, DONE) == 1


def test_signals_that_follow_at_once_are_all_heard(bench, image: Image) -> None:
    bench.load(image.binary, 1, wait=True)
    give_tape(bench, 1, 1, Sync(), Sync())
    for signal in (Signal.START, Signal.USER1, Signal.PAUSE, Signal.CONTINUE):
        bench.cores.signal(0, 0, [1], signal)
    bench.settle()
    assert bench.state(1) == CoreState.SYNC0
    for signal in (Signal.SYNC0, Signal.SYNC1):
        bench.cores.signal(0, 0, [1], signal)
    bench.settle()
    assert bench.state(1) == CoreState.RUNNING and word(bench, 1, DONE) == 1


def test_stopped_cores_are_silent_and_can_be_loaded_again(bench, image: Image) -> None:
    bench.load(image.binary, 1, app_id=30)
    bench.settle()
    bench.cores.stop(0, 0, [1])
    bench.cores.signal(0, 0, [1], Signal.PAUSE)
    to = SdpAddress(0, 0, 1, 3)
    assert bench.cores.deliver(0, 0, SdpMessage(to, HOST, b"?")) == Result.CPU
    assert bench.cores.memories(0, 0, 1) is None
    bench.load(image.binary, 1, app_id=31)
    bench.settle()
    assert bench.state(1) == CoreState.RUNNING and bench.vcpu(1)[47] == 31


def test_loading_over_a_running_program_resets_the_core(bench, image: Image) -> None:
    bench.load(image.binary, 1)
    bench.settle()
    bench.cores.signal(0, 0, [1], Signal.PAUSE)
    bench.settle()
    bench.load(image.binary, 1)
    bench.settle()
    assert bench.state(1) == CoreState.RUNNING


def test_messages_come_back_from_every_port_but_0(bench, image: Image) -> None:
    bench.load(image.binary, 3)
    bench.settle()
    texts = [bytes([i]) * length for i, length in enumerate((0, 1, 16, 255, 272))]
    for text in texts:
        to = SdpAddress(0, 0, 3, 1 + len(text) % 7)
        message = SdpMessage(to, HOST, text, flags=REPLY_EXPECTED | 7, tag=9)
        assert bench.cores.deliver(0, 0, message) == Result.OK
    bench.settle()
    assert [(m.data, m.destination, m.tag, m.flags) for _, m in bench.row.sent] == [
        (text, HOST, 9, 7) for text in texts
    ]
    assert {m.source.core for _, m in bench.row.sent} == {3}
    used = bench.row.chips[0, 0].read(SYSTEM_VARIABLES + 0x6C, 2)
    assert used == bytes(2), "all buffers are back"


def test_a_core_takes_a_bounded_number_of_messages(bench, image: Image) -> None:
    bench.load(image.binary, 1)
    to = SdpAddress(0, 0, 1, 1)
    results = [bench.cores.deliver(0, 0, SdpMessage(to, HOST, b"x")) for _ in range(20)]
    assert results[:8] == [Result.OK] * 8 and set(results[8:]) == {Result.BUFFER}
    bench.settle()
    assert len(bench.row.sent) == 8


def test_more_messages_than_buffers_all_come_back(bench, image: Image) -> None:
    cores = list(range(1, 18))
    bench.load(image.binary, *cores)
    bench.settle()
    assert len(cores) > BUFFERS
    for core in cores:
        bench.cores.deliver(0, 0, SdpMessage(SdpAddress(0, 0, core, 1), HOST, b"x"))
    bench.settle()
    assert sorted(m.source.core for _, m in bench.row.sent) == cores


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (ScpRequest(Command.WRITE, 5, 0x40F000, 8, 2, b"8 bytes!"), ScpReply(Result.OK, 5)),
        (ScpRequest(Command.READ, 6, 0, 4, 2), ScpReply(Result.OK, 6, b"code")),
        (ScpRequest(Command.READ, 7, 0, 257, 0), ScpReply(Result.ARGUMENT, 7)),
        (ScpRequest(Command.LED, 8, 0, 0, 0), ScpReply(Result.COMMAND, 8)),
    ],
)
def test_port_0_reads_and_writes_memory(bench, image: Image, request_, reply) -> None:
    bench.load(image.binary, 1)
    bench.settle()
    message = SdpMessage(SdpAddress(0, 0, 1, 0), HOST, encode_request(request_), flags=0x87)
    bench.cores.deliver(0, 0, message)
    bench.settle()
    if reply.data:
        reply = reply._replace(data=image.segments[0].data[: len(reply.data)])
    assert decode_reply(bench.row.sent[0][1].data) == reply
    if request_.data:
        memories = bench.cores.memories(0, 0, 1)
        assert memories is not None
        assert bytes(memories[1][0xF000 : 0xF000 + len(request_.data)]) == request_.data


def test_a_wrong_task_is_told_in_text(bench, image: Image) -> None:
    bench.load(image.binary, 1)
    bench.settle()
    wrong = copy()
    wrong.header = 0xFFFF | 4 << 16
    give_tape(bench, 1, 1, wrong)
    bench.settle()
    assert bench.state(1) == CoreState.RUN_TIME_ERROR
    assert word(bench, 1, USER3) == 0x102
    text = bench.iobuf(1)
    assert text.startswith("error 0x00000102 at 0x0000") and text.endswith("\n")
    assert len(text) > 24, "it went on in a second buffer"
