"""From what spinnman found to a machine as a value, and what of it is dead."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from orchestrator.boards.hardware.reports import CoreId
from orchestrator.machine.build import CORES, single_board, spinn3, triads
from orchestrator.machine.geometry import TRIAD, board_of
from orchestrator.machine.links import Link
from orchestrator.machine.machine import Faults, Machine

SPINN3_SIDE: Final = 2
"""Chips along each side of a SpiNN-3 board."""

_NO_CORE: Final = 255
"""Physical number of a virtual core that is not there."""


class Discovered(NamedTuple):
    """What a machine consists of.

    Attributes
    ----------
    machine
        Its working parts.
    dead
        Parts that a machine of this shape has when all works and this one lacks. Of a chip with
        too few cores those that are not idle are named first, then the highest numbers that the
        system software left out.
    cores
        Idle application cores.
    ethernet
        Address of each board by the coordinates of its Ethernet chip.
    board_of
        The Ethernet chip of each chip's board.
    """

    machine: Machine
    dead: Faults
    cores: tuple[CoreId, ...]
    ethernet: Mapping[tuple[int, int], str]
    board_of: Mapping[tuple[int, int], tuple[int, int]]


def as_discovered(found: Any, physical: Mapping[tuple[int, int], bytes]) -> Discovered:
    """Return a ``spinn_machine.Machine`` as our own value.

    Parameters
    ----------
    found
        As spinnman gives it.
    physical
        Of each chip the physical number of each virtual core, 255 beyond the last.
    """
    size = found.width, found.height
    boards = {(chip.x, chip.y): chip for chip in found.ethernet_connected_chips}
    whole = _as_built(size, boards)
    cores = np.zeros(size, np.uint8)
    board_at = np.full(size, -1, np.int16)
    links = np.zeros((*size, len(Link)), np.bool_)
    for chip in found.chips:
        at = chip.x, chip.y
        cores[at] = chip.n_processors
        board_at[at] = whole.board_at[at]
        for link in chip.router.links:
            links[(*at, link.source_link_id)] = True
    for link in Link:  # a link that fails one way is out of use both ways
        back = np.roll(links[..., link.opposite], (-link.step[0], -link.step[1]), axis=(0, 1))
        links[..., link] &= back
    idle = {(chip.x, chip.y): frozenset(chip.placable_processors_ids) for chip in found.chips}
    machine = Machine(
        boards=whole.boards, wraps=whole.wraps, board_at=board_at, cores=cores, links=links
    )
    return Discovered(
        machine=machine,
        dead=_dead(whole, machine, physical, idle),
        cores=tuple(CoreId(*chip, p) for chip in sorted(idle) for p in sorted(idle[chip])),
        ethernet={at: str(chip.ip_address) for at, chip in boards.items()},
        board_of={
            (chip.x, chip.y): (chip.nearest_ethernet_x, chip.nearest_ethernet_y)
            for chip in found.chips
        },
    )


def _as_built(size: tuple[int, int], ethernet: Mapping[tuple[int, int], Any]) -> Machine:
    """Return the machine of these boards with nothing dead."""
    if size == (SPINN3_SIDE, SPINN3_SIDE):
        return spinn3()
    if size == (8, 8):
        return single_board()
    wraps = size[0] % TRIAD == 0, size[1] % TRIAD == 0
    columns, rows = (max(1, chips // TRIAD) for chips in size)
    all_of = {(x, y, z) for x in range(columns) for y in range(rows) for z in range(3)}
    there = set()
    for x, y in ethernet:
        east, north, z = board_of(x, y)
        there.add((east % columns, north % rows, z))
    return triads(columns, rows, wraps, Faults(boards=frozenset(all_of - there)))


def _dead(
    whole: Machine,
    machine: Machine,
    physical: Mapping[tuple[int, int], bytes],
    idle: Mapping[tuple[int, int], frozenset[int]],
) -> Faults:
    """Return what a machine lacks of one that is whole."""
    chips = np.argwhere((whole.cores > 0) & (machine.cores == 0)).tolist()
    cores = []
    for x, y in np.argwhere((machine.cores > 0) & (machine.cores < whole.cores)).tolist():
        lacking = int(whole.cores[x, y]) - int(machine.cores[x, y])
        numbers = [number for number in physical[x, y] if number != _NO_CORE]
        busy = [number for p, number in enumerate(numbers) if p and p not in idle[x, y]]
        absent = sorted(set(range(CORES)) - set(numbers), reverse=True)
        cores += [(x, y, number) for number in (*busy, *absent)[:lacking]]
    links = []
    alive = machine.cores > 0
    for x, y, link in np.argwhere(whole.links & ~machine.links).tolist():
        dx, dy = Link(link).step
        if alive[x, y] and alive[(x + dx) % machine.width, (y + dy) % machine.height]:
            links.append((x, y, Link(link)))
    return Faults(
        chips=frozenset((x, y) for x, y in chips),
        cores=frozenset(cores),
        links=frozenset(links),
    )
