"""The heap in a chip's memory, against a plain model of first fit."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.monitor.heap import Heap
from orchestrator.virtual.monitor.memory import AddressSpace

BASE, END = 0x60240000, 0x60241000
ACTIONS = st.one_of(
    st.tuples(st.just("allocate"), st.integers(0, 900), st.integers(1, 3)),
    st.tuples(st.just("free"), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("free application"), st.integers(1, 3), st.just(0)),
)


def new_heap():
    space = AddressSpace(ChipMemory())
    heap = Heap(space, BASE)
    heap.create(END)
    return space, heap


class FirstFit:
    """Blocks as [start, end, owner or None], joined when free; starts are of the block's header."""

    def __init__(self):
        self.blocks = [[BASE + 16, END - 8, None]]

    def allocate(self, size, owner):
        needed = (size + 3) // 4 * 4 + 8
        for at, (start, end, used) in enumerate(self.blocks):
            if size and used is None and end - start >= needed:
                split = start + needed if end - start > needed + 8 else end
                self.blocks[at : at + 1] = [[start, split, owner]] + (
                    [[split, end, None]] if split < end else []
                )
                return start + 8
        return 0

    def free(self, wanted):
        for block in self.blocks:
            if wanted(block) and block[2] is not None:
                block[2] = None
        joined = []
        for block in self.blocks:
            if joined and joined[-1][2] is None and block[2] is None:
                joined[-1][1] = block[1]
            else:
                joined.append(block)
        self.blocks = joined


@settings(max_examples=40, deadline=None)
@given(st.lists(ACTIONS, max_size=30))
def test_any_sequence_is_as_first_fit(actions):
    space, heap = new_heap()
    model = FirstFit()
    given_out = []
    for action, value, app_id in actions:
        if action == "allocate":
            got = heap.allocate(value, app_id << 8)
            assert got == model.allocate(value, app_id << 8)
            given_out.append(got)
        elif action == "free":
            address = given_out[value % len(given_out)] if given_out else 0x60240100
            heap.free(address)
            model.free(lambda block, address=address: block[0] + 8 == address)
        else:
            heap.free_application(value)
            model.free(lambda block, value=value: (block[2] or 0) >> 8 == value)
        assert [list(block) for block in heap.blocks()] == model.blocks
        free = [(start, end) for start, end, owner in model.blocks if owner is None]
        assert space.word(BASE + 12) == heap.free_bytes == sum(e - s - 8 for s, e in free)
        # The chain of free blocks, as SARK follows it.
        chain, block = [], space.word(BASE)
        while block:
            chain.append(block)
            block = space.word(block + 4)
        assert chain == [start for start, _ in free]


def test_a_new_heap_is_one_free_block():
    space, heap = new_heap()
    assert heap.largest == heap.free_bytes == END - BASE - 16 - 8 - 8
    first, last = BASE + 16, END - 8
    assert space.read(BASE, 16) == struct.pack("<4I", first, first, last, heap.largest)


def test_a_heap_can_be_used_up():
    space, heap = new_heap()
    all_of_it = heap.largest
    assert heap.allocate(all_of_it + 4, 0x1000) == 0
    assert heap.allocate(all_of_it, 0x1000) == BASE + 16 + 8
    assert heap.allocate(4, 0x1000) == 0
    assert heap.largest == heap.free_bytes == space.word(BASE) == 0
    assert len(heap.free_application(0x10)) == 1 and heap.largest == all_of_it


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_nonsense_in_memory_ends_every_operation(word, value):
    space, heap = new_heap()
    blocks = [heap.allocate(64, 0x1000) for _ in range(8)]
    space.set_words(BASE + 4 * word, value)
    heap.allocate(16, 0x1000)
    heap.free(blocks[3])
    heap.free_application(0x10)
    assert heap.largest >= 0
