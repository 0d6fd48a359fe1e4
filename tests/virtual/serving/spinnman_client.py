"""A host that uses unmodified spinnman: run as a program, as it keeps its state in the process.

spinnman_client.py SUBJECTS HOST VERSION FOLDER [BMP]
SUBJECTS: names of functions below, joined by commas; VERSION: 3 or 5; FOLDER: for its reports.
Prints one line of JSON: what each function returned.
"""

import json
import logging
import socket
import struct
import sys
from pathlib import Path

from spinn_machine import CoreSubsets, MulticastRoutingEntry
from spinn_machine.routing_entry import RoutingEntry
from spinn_machine.tags import IPTag, ReverseIPTag
from spinn_utilities.config_holder import set_config
from spinnman.config_setup import unittest_setup
from spinnman.connections.udp_packet_connections import SCAMPConnection
from spinnman.data.spinnman_data_writer import SpiNNManDataWriter
from spinnman.exceptions import SpinnmanGenericProcessException
from spinnman.messages.scp.enums import LEDAction, Signal
from spinnman.messages.scp.enums.power_command import PowerCommand
from spinnman.messages.scp.impl import FillRequest, GetChipInfo, GetVersion
from spinnman.messages.scp.impl.set_power import SetPower
from spinnman.messages.sdp import SDPFlag, SDPHeader, SDPMessage
from spinnman.model import ExecutableTargets, P2PTable
from spinnman.model.bmp_connection_data import BMPConnectionData
from spinnman.model.diagnostic_filter import DiagnosticFilter
from spinnman.model.enums import CPUState, ExecutableType, UserRegister
from spinnman.processes import SendSingleCommandProcess
from spinnman.transceiver import create_transceiver_from_hostname
from spinnman.utilities.utility_functions import reprogram_tag

APP = 30
SDRAM = 0x60300000


def send(tx, request):
    return SendSingleCommandProcess(tx.get_scamp_connection_selector()).execute(request)


def refusal(call, *arguments):
    """Return the class and text of the exception that a call ends in."""
    try:
        call(*arguments)
    except Exception as error:
        cause = getattr(error, "exception", error)
        return f"{type(cause).__name__}: {cause}"
    return None


def version(tx, machine):
    info = send(tx, GetVersion(1, 1, 0)).version_info
    return [info.name, list(info.version_number), info.x, info.y, info.p]


def discovery(tx, machine):
    ethernets = machine.ethernet_connected_chips
    return {
        "size": [machine.width, machine.height],
        "cores": {f"{c.x},{c.y}": c.n_processors for c in machine.chips},
        "links": sorted(
            [c.x, c.y, link.source_link_id] for c in machine.chips for link in c.router.links
        ),
        "sdram": sorted({c.sdram for c in machine.chips}),
        "ethernets": {c.ip_address: [c.x, c.y] for c in ethernets},
        "nearest": {
            f"{c.x},{c.y}": [c.nearest_ethernet_x, c.nearest_ethernet_y] for c in machine.chips
        },
    }


def memory(tx, machine):
    x, y = [(c.x, c.y) for c in machine.chips][-1]
    data = bytes(i * 7 & 255 for i in range(5001))
    tx.write_memory(x, y, SDRAM + 1, data)
    same = tx.read_memory(x, y, SDRAM + 1, len(data)) == data
    unbuffered = tx.read_memory(x, y, SDRAM + 0x10000001, 99) == data[:99]
    tx.write_memory(x, y, SDRAM + 0x8000, 0x12345678)
    word = tx.read_word(x, y, SDRAM + 0x18000 - 0x10000)
    send(tx, FillRequest(x, y, SDRAM + 0x9000, 0xCAFEBABE, 1024))
    filled = tx.read_memory(x, y, SDRAM + 0x9000, 1028) == b"\xbe\xba\xfe\xca" * 256 + bytes(4)
    nothing = refusal(tx.read_memory, x, y, 0x50000000, 4)
    return [same, unbuffered, word, filled, nothing]


def neighbour(tx, machine):
    tx.write_memory(1, 1, SDRAM, bytes(range(64)))
    over_link = tx.read_neighbour_memory(0, 0, 1, SDRAM, 64)  # north-east of (0, 0)
    tx.write_neighbour_memory(0, 0, 1, SDRAM + 64, b"over the link...")
    return [list(over_link) == list(range(64)), tx.read_memory(1, 1, SDRAM + 64, 16).decode()]


def allocation(tx, machine):
    before = tx.get_heap(1, 0)
    first = tx.malloc_sdram(1, 0, 1000, APP)
    tagged = tx.malloc_sdram(1, 0, 2000, APP, tag=3)
    again = tx.malloc_sdram(1, 0, 2000, APP, tag=3)
    other_size = refusal(tx.malloc_sdram, 1, 0, 4, APP, 3)
    used = [e for e in tx.get_heap(1, 0) if not e.is_free]
    tx.free_sdram(1, 0, first)
    tx.free_sdram(1, 0, 12345678)
    largest = send(tx, GetChipInfo(1, 0)).chip_info.largest_free_sdram_block
    too_large = refusal(tx.malloc_sdram, 1, 0, 1 << 27, APP)
    many = tx.malloc_sdram_multi([(0, 0, 64, APP, 0), (0, 1, 64, APP, 0), (1, 1, 64, APP, 0)])
    tx.stop_application(APP)
    after = tx.get_heap(1, 0)
    return {
        "addresses": [first, tagged, again],
        "other size": other_size,
        "used": [[e.app_id, e.tag, e.size] for e in used],
        "largest": largest,
        "too large": too_large,
        "many": many,
        "after stop": [e.size for e in after] == [e.size for e in before],
    }


def routes(tx, machine):
    entries = [
        MulticastRoutingEntry(
            key << 8, 0xFFFFFF00, RoutingEntry(processor_ids=[1, key % 16 + 1], link_ids=[key % 6])
        )
        for key in range(300)
    ]
    tx.load_multicast_routes(0, 1, entries, APP)
    found = tx.get_multicast_routes(0, 1)
    of_other = tx.get_multicast_routes(0, 1, APP + 1)
    left = send(tx, GetChipInfo(0, 1)).chip_info.n_free_multicast_routing_entries
    too_many = refusal(tx.load_multicast_routes, 0, 1, entries * 3, APP)
    tx.stop_application(APP)
    freed = send(tx, GetChipInfo(0, 1)).chip_info.n_free_multicast_routing_entries
    tx.load_multicast_routes(0, 1, entries[:5], APP)
    tx.clear_multicast_routes((0, 1))
    fixed = RoutingEntry(processor_ids=[2], link_ids=[0, 5])
    tx.load_fixed_route(0, 1, fixed, APP)
    back = tx.read_fixed_route(0, 1, APP)
    return {
        "same": set(found) == set(entries) and len(found) == len(entries),
        "of other": len(of_other),
        "left": left,
        "too many": too_many,
        "freed": freed,
        "cleared": len(tx.get_multicast_routes(0, 1)),
        "fixed": [sorted(back.processor_ids), sorted(back.link_ids)],
    }


def diagnostics(tx, machine):
    counters = 0xF1000300
    tx.write_memory(0, 0, counters, struct.pack("<16I", *range(100, 116)))
    read = tx.get_router_diagnostics(0, 0)
    wanted = DiagnosticFilter(True, False, [], [], [], [], [], [])
    tx.set_router_diagnostic_filter(0, 0, 14, wanted)
    got = tx.get_router_diagnostic_filter(0, 0, 14)
    tx.clear_router_diagnostic_counters((0, 0))
    return [
        read.n_local_multicast_packets,
        read.user_3,
        got.filter_word == wanted.filter_word,
        tx.get_router_diagnostics(0, 0).n_local_multicast_packets,
        tx.reset_routing(),
    ]


def tags(tx, machine):
    (host, *_) = [c.ip_address for c in machine.ethernet_connected_chips]
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    listener.settimeout(5)
    port = listener.getsockname()[1]
    tx.set_ip_tag(IPTag(host, 0, 0, 2, "127.0.0.1", port, strip_sdp=True))
    tx.set_reverse_ip_tag(ReverseIPTag(host, 3, 31000, 1, 0, 5, sdp_port=2))
    # Two of its connections lead to this board, so spinnman lists its tags twice.
    listed = {(type(t).__name__, t.tag, t.port) for t in tx.get_tags() if t.board_address == host}
    listener.sendto(b"by a reverse tag", (host, 31000))
    echoed, sender = listener.recvfrom(512)
    tx.send_sdp_message(
        SDPMessage(
            SDPHeader(
                flags=SDPFlag.REPLY_NOT_EXPECTED,
                destination_port=4,
                destination_chip_x=1,
                destination_chip_y=0,
                destination_cpu=5,
            ),
            b"by a tag",
        )
    )
    stripped = listener.recv(512)
    by_connection = SCAMPConnection(0, 0, remote_host=host)
    reprogram_tag(by_connection, 5)  # to wherever this connection is
    reprogrammed = [t.port for t in tx.get_tags() if t.tag == 5][0]
    by_connection_port = by_connection.local_port
    by_connection.close()
    tx.clear_ip_tag(5)
    tx.clear_ip_tag(2)
    tx.clear_ip_tag(3)
    left = [t.tag for t in tx.get_tags()]
    listener.close()
    return {
        "listed": sorted(listed),
        "echoed": echoed.decode(),
        "from": sender == (host, 31000),
        "stripped": stripped.decode(),
        "left": left,
        "port": port,
        "reprogrammed": reprogrammed == by_connection_port,
    }


def sdp(tx, machine):
    (ethernet,) = [c for c in machine.ethernet_connected_chips if (c.x, c.y) == (0, 0)]
    connection = SCAMPConnection(0, 0, remote_host=ethernet.ip_address)
    answers = []
    for x, y, core in ((0, 0, 1), (1, 1, 16)):
        header = SDPHeader(
            flags=SDPFlag.REPLY_EXPECTED,
            destination_port=3,
            destination_chip_x=x,
            destination_chip_y=y,
            destination_cpu=core,
        )
        connection.send_sdp_message(SDPMessage(header, bytes(range(core))))
        answer = connection.receive_sdp_message(timeout=5)
        source = answer.sdp_header
        answers.append([source.source_chip_x, source.source_chip_y, source.source_cpu])
        answers.append(bytes(answer.data[answer.offset :]).hex())
    connection.close()
    return answers


def all_cores(machine):
    subsets = CoreSubsets()
    for chip in machine.chips:
        for core in range(1, chip.n_processors):
            subsets.add_processor(chip.x, chip.y, core)
    return subsets


def counts(tx):
    return [
        tx.get_core_state_count(APP, s) for s in (CPUState.READY, CPUState.SYNC0, CPUState.RUNNING)
    ]


def load(tx, machine):
    """Flood to all cores with wait, signals, states, IOBUF; leaves the application running."""
    subsets = all_cores(machine)
    image = bytearray(struct.pack("<I", 0x5A5A0000) * 1000)
    tx.execute_flood(subsets, image, APP, wait=True)
    steps = [counts(tx)]
    tx.wait_for_cores_to_be_in_state(subsets, APP, CPUState.READY, timeout=5)
    monitors = tx.get_core_state_count(0, CPUState.RUNNING)
    for signal in (Signal.START, Signal.SYNC0, Signal.PAUSE, Signal.CONTINUE):
        tx.send_signal(APP, signal)
        steps.append(counts(tx))
    few = CoreSubsets()
    few.add_processor(0, 0, 3)
    few.add_processor(1, 1, 1)
    infos = [tx.get_cpu_infos(few).get_cpu_info(x, y, p) for x, y, p in ((0, 0, 3), (1, 1, 1))]
    tx.write_user(0, 0, 3, UserRegister.USER_1, 77)
    copied = all(
        tx.read_memory(c.x, c.y, 0x67800000, len(image)) == bytes(image) for c in machine.chips
    )
    return {
        "cores": len(subsets),
        "steps": steps,
        "monitors": monitors,
        "states": [[i.state.name, i.application_id, i.physical_cpu_id] for i in infos],
        "user": tx.read_user(0, 0, 3, UserRegister.USER_1),
        "copied": copied,
        "iobuf": [b.iobuf for b in tx.get_iobuf(few)],
    }


def stop(tx, machine):
    tx.stop_application(APP)
    idle = tx.get_core_state_count(0, CPUState.IDLE)
    return [counts(tx), idle]


def other_loads(tx, machine):
    """One chip by itself, a whole application from a file, a flood of data to all chips."""
    tx.execute(1, 0, [2, 5], bytes(64), APP)
    one = counts(tx)
    tx.stop_application(APP)
    binary = Path("program.aplx")
    binary.write_bytes(bytes(256))
    targets = ExecutableTargets()
    targets.add_processor(str(binary), 0, 1, 7, ExecutableType.USES_SIMULATION_INTERFACE)
    targets.add_processor(str(binary), 1, 1, 8, ExecutableType.USES_SIMULATION_INTERFACE)
    tx.execute_application(targets, APP)
    application = counts(tx)
    tx.write_memory_flood(SDRAM, bytes(range(256)) * 5)
    flooded = all(
        tx.read_memory(c.x, c.y, SDRAM, 1280) == bytes(range(256)) * 5 for c in machine.chips
    )
    tx.stop_application(APP)
    return [one, application, flooded]


def odds_and_ends(tx, machine):
    tx.set_leds(0, 0, 0, {0: 1, 3: 1})
    tx.control_sync(False)
    tx.set_watch_dog(False)
    columns = [
        tx.read_memory(0, 0, 0xE1010000 + 128 * x, 4 * (-(-machine.height // 8)))
        for x in range(machine.width)
    ]
    table = P2PTable(machine.width, machine.height, [(bytes(c), 0) for c in columns])
    return {
        "drift": tx.get_clock_drift(0, 0),
        "p2p": sorted(map(list, table.iterchips())) == sorted([c.x, c.y] for c in machine.chips),
        "missing chip": refusal(tx.read_memory, 200, 200, SDRAM, 4),
    }


def bmp(tx, machine):
    info = tx.read_bmp_version(0)
    adc = tx.read_adc_data(0)
    tx.write_memory(0, 0, SDRAM, b"lost with power.")
    result = {
        "version": [info.name, list(info.version_number)],
        "volts": [round(v, 1) for v in (adc.voltage_1_2a, adc.voltage_1_8, adc.voltage_3_3)],
        "supply": round(adc.voltage_supply),
        "warm": adc.temp_top,
        "fpga": [tx.read_fpga_register(f, 0x40004, 0) & 3 for f in range(3)],
    }
    # spinnman 7.4.1 cannot decode the (empty) answers to these, which the board has obeyed.
    tx.set_led([0, 7], LEDAction.ON, 0)
    result["write"] = refusal(tx.write_fpga_register, 1, 0x5C, 1, 0)
    result["stop"] = tx.read_fpga_register(1, 0x5C, 0)
    selector = tx.bmp_selector
    for command in (PowerCommand.POWER_OFF, PowerCommand.POWER_ON):
        process = SendSingleCommandProcess(selector, n_retries=0, timeout=2.0)
        try:
            process.execute(SetPower(command, [0]))
        except SpinnmanGenericProcessException as error:
            result[command.name] = type(error.exception).__name__
    result["open again"] = tx.read_fpga_register(1, 0x5C, 0)
    return result


def main() -> None:
    logging.disable(logging.CRITICAL)
    subjects, host, board_version, folder, *bmp_host = sys.argv[1:]
    unittest_setup()
    set_config("Machine", "version", board_version)
    set_config("Reports", "default_report_file_path", folder)
    writer = SpiNNManDataWriter.setup()
    writer.set_ipaddress(host)
    data = BMPConnectionData(bmp_host[0], [0], None) if bmp_host else None
    tx = create_transceiver_from_hostname(host, bmp_connection_data=data, extended=True)
    tx.discover_scamp_connections()
    machine = tx.get_machine_details()
    writer.set_machine(machine)
    results = {name: globals()[name](tx, machine) for name in subjects.split(",")}
    tx.close()
    print("\n" + json.dumps(results))


if __name__ == "__main__":
    main()
