"""A host that loads programs by unmodified spinnman and talks to them: run as a program.

spinnman_cores.py HOST FOLDER: FOLDER holds image.aplx, sender.aplx, receiver.aplx, tape.bin and
takes spinnman's reports. Prints one line of JSON: what each step found.
"""

import json
import logging
import sys
import time
from pathlib import Path

from spinn_machine import CoreSubsets, MulticastRoutingEntry
from spinn_machine.routing_entry import RoutingEntry
from spinn_utilities.config_holder import set_config
from spinnman.config_setup import unittest_setup
from spinnman.connections.udp_packet_connections import SCAMPConnection
from spinnman.data.spinnman_data_writer import SpiNNManDataWriter
from spinnman.messages.scp.enums import Signal
from spinnman.messages.sdp import SDPFlag, SDPHeader, SDPMessage
from spinnman.model.enums import CPUState, UserRegister
from spinnman.transceiver import create_transceiver_from_hostname

APP, SENDER_APP, RECEIVER_APP = 16, 17, 18
TAPE, WRONG_TAPE, SOURCE, TARGET = 0x60300000, 0x60310000, 0x60320000, 0x60330000
DONE = 96


def cores(*places):
    subsets = CoreSubsets()
    for x, y, p in places:
        subsets.add_processor(x, y, p)
    return subsets


def image(folder, name):
    return bytearray((folder / name).read_bytes())


def counts(tx, app=APP):
    states = (CPUState.READY, CPUState.RUNNING, CPUState.PAUSED, CPUState.FINISHED)
    return [tx.get_core_state_count(app, state) for state in states]


def wait_for(tx, subsets, *states, app=APP):
    tx.wait_for_cores_to_be_in_state(subsets, app, states, timeout=20)


def failed(tx, x, y, p):
    """Return a core's information once it has met an error, which wait_for would refuse."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        info = tx.get_cpu_infos(cores((x, y, p))).get_cpu_info(x, y, p)
        if info.state == CPUState.RUN_TIME_EXCEPTION:
            break
    return info


def states(tx, folder, everywhere):
    """Every core of the board loads our image and follows the signals."""
    tx.execute_flood(everywhere, image(folder, "image.aplx"), APP, wait=True)
    wait_for(tx, everywhere, CPUState.READY)
    steps = [counts(tx)]
    for signal, state in (
        (Signal.START, CPUState.RUNNING),
        (Signal.PAUSE, CPUState.PAUSED),
        (Signal.CONTINUE, CPUState.RUNNING),
    ):
        tx.send_signal(APP, signal)
        wait_for(tx, everywhere, state)
        steps.append(counts(tx))
    return steps


def tapes(tx, folder, everywhere):
    """A tape on two cores of different chips, each with its own data."""
    for x, y, p in ((0, 0, 2), (1, 1, 9)):
        tx.write_memory(x, y, TAPE, image(folder, "tape.bin"))
        tx.write_memory(x, y, SOURCE, f"chip {x}, {y}!!".encode().ljust(16))
        tx.write_user(x, y, p, UserRegister.USER_0, TAPE)
        tx.write_user(x, y, p, UserRegister.USER_1, 1)
    tx.send_signal(APP, Signal.USER_0)
    copied = []
    for x, y, p in ((0, 0, 2), (1, 1, 9)):
        until = time.monotonic() + 20
        while tx.read_word(x, y, 0xE5007000 + 128 * p + DONE) != 1 and time.monotonic() < until:
            pass
        copied.append(bytes(tx.read_memory(x, y, TARGET, 16)).decode())
    return copied


def sdp(tx, folder, everywhere):
    """Messages to cores of two chips come back."""
    connection = SCAMPConnection(0, 0, remote_host=sys.argv[1])
    answers = []
    for x, y, p in ((0, 0, 1), (1, 0, 16)):
        header = SDPHeader(
            flags=SDPFlag.REPLY_EXPECTED,
            destination_port=3,
            destination_chip_x=x,
            destination_chip_y=y,
            destination_cpu=p,
        )
        connection.send_sdp_message(SDPMessage(header, b"core %d" % p))
        answer = connection.receive_sdp_message(timeout=20)
        source = answer.sdp_header
        place = [source.source_chip_x, source.source_chip_y, source.source_cpu]
        answers.append([place, bytes(answer.data[answer.offset :]).decode()])
    connection.close()
    return answers


def error(tx, folder, everywhere):
    """A wrong tape ends in a run-time error with registers and text."""
    tx.write_memory(1, 1, WRONG_TAPE, b"\xff\xff\x04\x00".ljust(512, b"\0"))
    tx.write_user(1, 1, 3, UserRegister.USER_0, WRONG_TAPE)
    tx.write_user(1, 1, 3, UserRegister.USER_1, 1)
    tx.send_signal(APP, Signal.USER_0)
    info = failed(tx, 1, 1, 3)
    (iobuf,) = tx.get_iobuf(cores((1, 1, 3)))
    others = tx.get_core_state_count(APP, CPUState.RUNNING)
    return [info.run_time_error.name, info.registers[0], info.user[3], iobuf.iobuf, others]


def stop(tx, folder, everywhere):
    """EXIT finishes all cores but the failed one, STOP makes all idle."""
    tx.send_signal(APP, Signal.EXIT)
    finished = CoreSubsets()
    for subset in everywhere:
        for p in subset.processor_ids:
            if (subset.x, subset.y, p) != (1, 1, 3):
                finished.add_processor(subset.x, subset.y, p)
    wait_for(tx, finished, CPUState.FINISHED)
    ended = counts(tx)
    tx.stop_application(APP)
    return [ended, tx.get_core_state_count(0, CPUState.IDLE)]


def multicast(tx, folder, everywhere):
    """Packets from (0, 0) reach a core of (0, 1) by way of the tables of both."""
    everything = 0xFFFF0000
    north = MulticastRoutingEntry(
        0x42000000, everything, RoutingEntry(processor_ids=[], link_ids=[2])
    )
    here = MulticastRoutingEntry(
        0x42000000, everything, RoutingEntry(processor_ids=[5], link_ids=[])
    )
    tx.load_multicast_routes(0, 0, [north], SENDER_APP)
    tx.load_multicast_routes(0, 1, [here], RECEIVER_APP)
    tx.clear_router_diagnostic_counters((0, 0))
    tx.clear_router_diagnostic_counters((0, 1))
    tx.execute_flood(cores((0, 1, 5)), image(folder, "receiver.aplx"), RECEIVER_APP)
    tx.execute_flood(cores((0, 0, 7)), image(folder, "sender.aplx"), SENDER_APP)
    until = time.monotonic() + 20
    while tx.read_word(0, 1, 0x60300000 + 8 * 9) == 0 and time.monotonic() < until:
        pass
    data = bytes(tx.read_memory(0, 1, 0x60300000, 80))
    words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, 80, 4)]
    sent, got = tx.get_router_diagnostics(0, 0), tx.get_router_diagnostics(0, 1)
    tx.stop_application(SENDER_APP)
    tx.stop_application(RECEIVER_APP)
    return [words, sent.n_local_multicast_packets, got.n_external_multicast_packets]


def bad_image(tx, folder, everywhere):
    """An image that does not fit leaves an error where it was to run."""
    too_large = bytearray((folder / "image.aplx").read_bytes())
    too_large[12:16] = (0x8000).to_bytes(4, "little")  # bytes of the code
    tx.execute_flood(cores((1, 0, 4)), too_large, APP)
    info = failed(tx, 1, 0, 4)
    tx.stop_application(APP)
    return [info.run_time_error.name, list(info.registers[:4])]


STEPS = (states, tapes, sdp, error, stop, multicast, bad_image)


def main() -> None:
    logging.disable(logging.CRITICAL)
    host, folder = sys.argv[1], Path(sys.argv[2])
    unittest_setup()
    set_config("Machine", "version", "3")
    set_config("Reports", "default_report_file_path", str(folder))
    writer = SpiNNManDataWriter.setup()
    writer.set_ipaddress(host)
    tx = create_transceiver_from_hostname(host, extended=True)
    tx.discover_scamp_connections()
    machine = tx.get_machine_details()
    writer.set_machine(machine)
    everywhere = cores(
        *((chip.x, chip.y, p) for chip in machine.chips for p in range(1, chip.n_processors))
    )
    results = {step.__name__: step(tx, folder, everywhere) for step in STEPS}
    tx.close()
    print("\n" + json.dumps({"cores": len(everywhere), **results}))


if __name__ == "__main__":
    main()
