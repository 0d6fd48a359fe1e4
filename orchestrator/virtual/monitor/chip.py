"""One chip after boot: its memory as SC&MP leaves it, its heaps, its routes, its cores' states."""

import struct
from collections.abc import Callable, Iterable
from typing import Final

from orchestrator.machine.machine import Chip
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.monitor.heap import Block, Heap
from orchestrator.virtual.monitor.memory import AddressSpace
from orchestrator.virtual.monitor.plan import MachinePlan
from orchestrator.virtual.monitor.routes import COPY_BYTES, RouteTable, obey_counter_control
from orchestrator.virtual.monitor.tags import packed
from orchestrator.virtual.monitor.variables import (
    Boot,
    Tables,
    idle_vcpu,
    loaded_vcpu,
    write_clock,
    write_variables,
    write_vcpus,
)
from orchestrator.wire.answers import ChipSummary
from orchestrator.wire.layout import (
    ALIAS,
    CHIP_CORES,
    DTCM,
    DTCM_BYTES,
    ITCM_BYTES,
    LOAD_AREA,
    P2P_TABLE,
    ROUTER_COUNTER_CONTROL,
    SDRAM_END,
    SYSTEM_HEAP,
    SYSTEM_RAM_HEAP,
    SYSTEM_VARIABLES,
    USER_HEAP,
    VCPU_BYTES,
    VCPUS,
    Sv,
    Vcpu,
)
from orchestrator.wire.numbers import CoreState

IN_ERROR: Final = (CoreState.DEAD, CoreState.RUN_TIME_ERROR, CoreState.WATCHDOG)
"""States of a core that answers nothing and takes no signal."""

_NOT_LOADED: Final = (CoreState.DEAD, CoreState.POWERED_DOWN, CoreState.IDLE)
_P2P_COLUMN_BYTES: Final = 128
_P2P_COLUMNS: Final = 256
_HOP_TABLE_BYTES: Final = 1 << 18
_TAG_TABLE_BYTES: Final = 1 << 18
_APPLICATION_TABLE_BYTES: Final = 2048
_ROUTER_BLOCK: Final = 0xE1
_SYSTEM_RAM_BLOCK: Final = 0xE5
_ROUTING_ON: Final = 1
_MONITOR_AT: Final = 8
"""Bits of the router's control word: routing, and the core that gets packets for the monitor."""


_ALIAS_BIT: Final = ALIAS >> 24
_CLOCK_AT: Final = (SYSTEM_VARIABLES & 0xFFFFFF) + Sv.CLOCK_MS

CoreMemories = Callable[[], tuple[memoryview, memoryview] | None]
"""Gives the ITCM and DTCM of a core, None if it has none yet."""


class MonitoredChip:
    """One chip of a booted machine.

    Parameters
    ----------
    position
        (x, y) in the booted machine.
    machine
        What it is part of.
    parent
        Link towards chip (0, 0).
    boot
        What the boot gave.

    Attributes
    ----------
    memory
        What its cores share.
    space
        The same by address.
    heap, system_heap, system_ram_heap
        The heaps for hosts' blocks, for the system's (IOBUF), and the small one.
    routes
        The multicast table.
    leds
        A bit for each LED that is on.
    """

    def __init__(self, position: Chip, machine: MachinePlan, parent: int, boot: Boot):
        self.position = position
        self.machine = machine
        self.plan = machine.chips[position]
        self.parent = parent
        self.boot = boot
        self.memory = ChipMemory(physical_cores=self.plan.physical_cores)
        self.space = AddressSpace(self.memory)
        self.heap = Heap(self.space, USER_HEAP)
        self.system_heap = Heap(self.space, SYSTEM_HEAP)
        self.system_ram_heap = Heap(self.space, SYSTEM_RAM_HEAP)
        self.heap.create(LOAD_AREA)
        self.system_heap.create(SDRAM_END)
        self.system_ram_heap.create(VCPUS)
        sizes = (_HOP_TABLE_BYTES, COPY_BYTES, _TAG_TABLE_BYTES, _APPLICATION_TABLE_BYTES)
        self._tables = Tables(*(self.system_heap.allocate(size, 0) for size in sizes))
        write_variables(self.space, position, machine, boot, self._tables)
        write_vcpus(self.space, self.plan.physical_cores)
        self.routes = RouteTable(self.space, self._tables.routes, self.plan.physical_cores)
        self.routes.initialise()
        control = _ROUTING_ON | self.plan.physical_cores[0] << _MONITOR_AT
        struct.pack_into("<I", self.space.router, 0, control)
        self.leds = 0
        self._p2p: dict[Chip, int] | None = None
        self._columns_to_fill = set(range(_P2P_COLUMNS))
        self._vcpus = self.memory.memory(VCPUS, CHIP_CORES * VCPU_BYTES)
        self._monitor_tcm: bytearray | None = None

    @property
    def n_cores(self) -> int:
        """Return the number of working cores, the monitor among them."""
        return len(self.plan.physical_cores)

    @property
    def has_ethernet(self) -> bool:
        """Return whether the board's Ethernet socket is at this chip."""
        return bool(self.plan.ip_address)

    def relink(self, machine: MachinePlan, parent: int) -> None:
        """Take over a machine in which chips or links have died, and the link towards (0, 0)."""
        self.machine = machine
        self.parent = parent
        links = bytes([machine.link_bits(self.position)])
        self.space.write(SYSTEM_VARIABLES + Sv.LINKS, links)
        self._p2p = None
        self._columns_to_fill = set(range(_P2P_COLUMNS))

    # Cores

    def states(self) -> bytes:
        """Return the state of each of the 18 virtual cores."""
        return self._vcpus[Vcpu.STATE :: VCPU_BYTES].tobytes()

    def app_ids(self) -> bytes:
        """Return the application of each of the 18 virtual cores."""
        return self._vcpus[Vcpu.APP_ID :: VCPU_BYTES].tobytes()

    def count(self, app_id: int, state: int) -> int:
        """Return how many working cores of an application are in a state."""
        pairs = zip(self.app_ids()[: self.n_cores], self.states(), strict=False)
        return sum(pair == (app_id, state) for pair in pairs)

    def cores_of(self, app_id: int, mask: int) -> list[int]:
        """Return the cores whose application is ``app_id`` in the bits of ``mask``, loaded ones."""
        wanted, states = app_id & mask, self.states()
        return [
            core
            for core, app in enumerate(self.app_ids()[: self.n_cores])
            if core and app & mask == wanted and states[core] not in _NOT_LOADED
        ]

    def set_loaded(self, core: int, app_id: int, now: float) -> None:
        """Prepare the VCPU block of a core for an application."""
        block = loaded_vcpu(self.plan.physical_cores[core], app_id, int(now))
        self.space.write(VCPUS + VCPU_BYTES * core, block)

    def set_idle(self, core: int) -> None:
        """Empty the VCPU block of a core."""
        block = idle_vcpu(self.plan.physical_cores[core])
        self.space.write(VCPUS + VCPU_BYTES * core, block)

    def summary(self) -> ChipSummary:
        """Return what ``INFO`` says of the chip."""
        return ChipSummary(
            n_cores=self.n_cores,
            links=self.machine.link_bits(self.position),
            router_entries=self.routes.largest,
            ethernet_up=self.has_ethernet,
            sdram_bytes=self.heap.largest,
            system_ram_bytes=self.system_ram_heap.largest,
            states=self.states(),
            ethernet_x=self.plan.ethernet[0],
            ethernet_y=self.plan.ethernet[1],
            ip_address=packed(self.plan.ip_address) if self.has_ethernet else bytes(4),
            parent_link=self.parent,
        )

    # SDRAM of applications

    def allocate(self, size: int, app_id: int, tag: int, *, retry: bool) -> int:
        """Return the address of a new block of SDRAM, 0 if there is none.

        A tag, 1 to 255, is an application's name for one block. It cannot be used twice, but with
        ``retry`` the block of that size that has it is given again.
        """
        if tag:
            entry = self._tag_entry(app_id, tag)
            block = self._tagged(app_id, tag)
            if block is not None:
                return block.data if retry and block.size == (size + 3 & ~3) else 0
        address = self.heap.allocate(size, app_id << 8 | tag)
        if address and tag:
            self.space.set_words(entry, address)
        return address

    def tagged(self, app_id: int, tag: int) -> int:
        """Return the address of an application's block with a tag, 0 if there is none."""
        block = self._tagged(app_id, tag)
        return block.data if block is not None else 0

    def free(self, address: int) -> None:
        """Free the block of SDRAM at an address, if there is one."""
        block = self.heap.free(address)
        if block is not None:
            self._forget_tags([block])

    def free_application(self, app_id: int) -> int:
        """Free an application's blocks of SDRAM and return how many there were."""
        blocks = self.heap.free_application(app_id)
        self._forget_tags(blocks)
        return len(blocks)

    def _tag_entry(self, app_id: int, tag: int) -> int:
        return self._tables.tags + 4 * (app_id << 8 | tag)

    def _tagged(self, app_id: int, tag: int) -> Block | None:
        address = self.space.word(self._tag_entry(app_id, tag))
        owner = app_id << 8 | tag
        if not address:
            return None
        return next((b for b in self.heap.blocks() if (b.data, b.owner) == (address, owner)), None)

    def _forget_tags(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            if block.owner is not None and block.owner & 0xFF:
                self.space.set_words(self._tag_entry(block.owner >> 8, block.owner & 0xFF), 0)

    # Memory as hosts see it

    def view(self, address: int, size: int, tcm: CoreMemories) -> memoryview | None:
        """Return ``size`` bytes at an address, None if not all exist.

        Parameters
        ----------
        tcm
            Gives the memories of the core that is asked.
        """
        if address < DTCM + DTCM_BYTES:
            for base, length, index in ((0, ITCM_BYTES, 0), (DTCM, DTCM_BYTES, 1)):
                if base <= address and address + size <= base + length:
                    memories = tcm()
                    start = address - base
                    return memories[index][start : start + size] if memories else None
            return None
        return self.space.view(address, size)

    def monitor_tcm(self) -> tuple[memoryview, memoryview]:
        """Return the monitor's own ITCM and DTCM."""
        if self._monitor_tcm is None:
            self._monitor_tcm = bytearray(ITCM_BYTES + DTCM_BYTES)
        whole = memoryview(self._monitor_tcm)
        return whole[:ITCM_BYTES], whole[ITCM_BYTES:]

    def before_read(self, address: int, size: int, now: float) -> None:
        """Work out what is only worth knowing when it is read: the time, columns of P2P entries."""
        block, offset = address >> 24 & ~_ALIAS_BIT, address & 0xFFFFFF
        if block == _SYSTEM_RAM_BLOCK and offset + size > _CLOCK_AT:
            write_clock(self.space, self.boot, now)
        elif block == _ROUTER_BLOCK and offset + size > P2P_TABLE:
            first = max(0, offset - P2P_TABLE) // _P2P_COLUMN_BYTES
            last = (offset + size - 1 - P2P_TABLE) // _P2P_COLUMN_BYTES
            self._fill_columns(range(first, min(last, _P2P_COLUMNS - 1) + 1))

    def after_write(self, address: int, size: int) -> None:
        """Do what a write to the router's registers sets off."""
        if address >> 24 & ~_ALIAS_BIT != _ROUTER_BLOCK:
            return
        offset = address & 0xFFFFFF
        if offset <= ROUTER_COUNTER_CONTROL < offset + size:
            obey_counter_control(self.space.router)

    def _fill_columns(self, columns: range) -> None:
        missing = self._columns_to_fill.intersection(columns)
        if not missing:
            return
        if self._p2p is None:
            self._p2p = self.machine.first_links(self.position)
        for x in missing:
            words = self.machine.p2p_column(self._p2p, x)
            at = P2P_TABLE + _P2P_COLUMN_BYTES * x
            struct.pack_into("<32I", self.space.router, at, *words)
        self._columns_to_fill -= missing
