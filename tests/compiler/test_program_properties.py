"""What holds for every program, however its layers are cut and whatever does not work.

Everything is computed once; what chips need they have or get; routes are trees over working links;
regions in use at a time do not meet; the same input gives the same program.
"""

from collections import defaultdict

import numpy as np
import pytest
from compiled import machines, mixed_program
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.compiler.cache import write_program
from orchestrator.compiler.layers import Conv
from orchestrator.compiler.mesh import Mesh
from orchestrator.compiler.program import ExchangeKind, Program, Work
from orchestrator.compiler.site import Site
from orchestrator.machine import Link, Machine

BUILT = {}


def built(name: str, seed: int) -> tuple[Machine, Site, Program]:
    if (name, seed) not in BUILT:
        machine = machines()[name]
        BUILT[name, seed] = (machine, *mixed_program(machine, seed))
    return BUILT[name, seed]


CASES = [(name, seed) for name in sorted(machines()) for seed in (0, 1)]


def positions(work: Work, width: int) -> np.ndarray:
    """Return rows as positions, whichever the work counts."""
    return work.rows if work.flat else work.rows * width


@pytest.mark.parametrize("case", CASES)
def test_every_product_is_made_once(case):
    _, site, program = built(*case)
    for op in site.network.convolutions:
        passes = {"forward": op.y, "input gradient": op.x}
        for name, of in passes.items():
            done = np.zeros((site.images * of.height * of.width, of.channels), int)
            for work in works(program, op, name):
                for (top, bottom), (first, end) in zip(
                    positions(work, of.width), work.channels, strict=True
                ):
                    done[top:bottom, first:end] += 1
            assert (done == (0 if op.first and name == "input gradient" else 1)).all(), op.name


@pytest.mark.parametrize("case", CASES)
def test_every_product_of_a_weight_gradient_is_made_once(case):
    _, site, program = built(*case)
    for op in site.network.convolutions:
        rows = site.images * op.y.height
        summed = np.zeros((op.y.channels, op.x.channels), int)
        for work in works(program, op, "weight gradient"):
            seen = defaultdict(set)
            for row, channel, inputs in zip(work.rows, work.channels, work.inputs, strict=True):
                summed[slice(*channel), slice(*inputs)] += row[1] - row[0]
                block = (*channel.tolist(), *inputs.tolist())
                new = set(range(*row.tolist()))
                assert not seen[block] & new
                seen[block] |= new
        assert (summed == rows).all(), op.name


def works(program: Program, op: Conv, name: str) -> list[Work]:
    return [
        work
        for phase in program.phases
        for work in phase.work
        if work.node == op.name and work.unit == "MAC" and work.kernel.startswith(name)
    ]


@pytest.mark.parametrize("case", CASES)
def test_products_are_counted_and_cores_compute_or_move_packets(case):
    _, site, program = built(*case)
    total = 0
    for phase in program.phases:
        for work in phase.work:
            computing = (program.cores - program.packet_cores)[work.chip]
            assert (work.core < computing).all() and (work.core >= 0).all()
            assert (work.amount > 0).all() and (work.cycles > 0).all()
            total += work.amount.sum() if work.unit == "MAC" else 0
    assert program.macs == total
    assert program.macs >= site.images * site.network.macs  # channels are padded


@pytest.mark.parametrize("case", CASES)
def test_routes_are_trees_over_working_links_that_reach_all_targets(case):
    machine, _, program = built(*case)
    number = {tuple(chip): i for i, chip in enumerate(program.chips.tolist())}
    for phase in program.phases:
        for each in phase.exchanges:
            for i, source in enumerate(each.source.tolist()):
                reached = {source}
                links = each.routes[each.route_start[i] : each.route_start[i + 1]].tolist()
                for chip, link in (divmod(link, 6) for link in links):
                    assert chip in reached, "a route continues from where it has been"
                    there = machine.neighbour(*program.chips[chip].tolist(), Link(link))
                    assert there is not None, "the link works"
                    assert number[there] not in reached, "no cycle"
                    reached.add(number[there])
                targets = each.targets[each.target_start[i] : each.target_start[i + 1]].tolist()
                assert set(targets) <= reached and source not in targets and targets


@pytest.mark.parametrize("case", CASES)
def test_what_is_sent_is_received_and_carried(case):
    _, _, program = built(*case)
    n = program.n_chips
    for phase in program.phases:
        for each in phase.exchanges:
            assert (each.bytes > 0).all()
            copies = np.diff(each.target_start)
            packets = -(-each.bytes // 4)
            assert each.received(n).sum() == (packets * copies).sum()
            assert each.sent(n).sum() == packets.sum()
            assert each.link_bytes(n).sum() == (each.bytes * np.diff(each.route_start)).sum()
            assert (np.diff(each.route_start) >= copies).all()  # each target at a link of its own


@pytest.mark.parametrize("case", CASES)
def test_every_chip_gets_all_of_the_input_that_it_multiplies(case):
    _, site, program = built(*case)
    for op in site.network.convolutions:
        if op.first:
            continue
        need = site.cutter.forward_need(program.splits[op.name], op)
        have = site.cutter.result(program.splits[op.source], op.x)
        shape = (program.n_chips, site.images * op.x.height, op.x.channels)
        there = np.zeros(shape, bool)
        for chip in range(program.n_chips):
            there[chip, slice(*have.rows[chip]), slice(*have.channels[chip])] = True
        for phase in program.phases:
            for each in phase.exchanges:
                if each.tensor == op.source and phase.name.startswith("forward"):
                    deliver(each, there)
        for chip in range(program.n_chips):
            assert there[chip, slice(*need.rows[chip]), slice(*need.channels[chip])].all()


def deliver(exchange, there):
    for i, source in enumerate(exchange.source.tolist()):
        rows, channels = slice(*exchange.rows[i]), slice(*exchange.channels[i])
        assert there[source, rows, channels].all(), "a chip sends what it has"
        for target in exchange.targets[exchange.target_start[i] : exchange.target_start[i + 1]]:
            there[target, rows, channels] = True


@pytest.mark.parametrize("case", CASES)
def test_partial_sums_meet_at_their_owner_each_once(case):
    """Run the reductions on numbers: member m adds 2^m, so that the total shows who is in it."""
    _, site, program = built(*case)
    for op in site.network.convolutions:
        cut = program.weight_splits[op.name]
        owners, members = site.cutter.masters(cut, op), site.cutter.members(cut.split)
        shape = (op.y.channels, op.x.channels)
        held = [
            {chip: np.full(shape, 1 << place, object) for place, chip in enumerate(group)}
            for group in members.tolist()
        ]
        group_of = {chip: g for g, group in enumerate(members.tolist()) for chip in group}
        parts = [
            (level, each, i)
            for phase in program.phases
            for each in phase.exchanges
            if each.kind is ExchangeKind.REDUCE and each.tensor == op.weight
            for i, level in enumerate(each.level.tolist())
        ]
        for _, each, i in sorted(parts, key=lambda part: part[0]):
            sums = held[group_of[int(each.source[i])]]
            box = slice(*each.rows[i]), slice(*each.channels[i])
            target = int(each.targets[each.target_start[i]])
            sums[target][box] += sums[int(each.source[i])][box]
        for group, sums in zip(members.tolist(), held, strict=True):
            for chip in group:
                box = slice(*owners.rows[chip]), slice(*owners.channels[chip])
                assert (sums[chip][box] == (1 << len(group)) - 1).all()


@pytest.mark.parametrize("case", CASES)
def test_every_weight_has_one_owner(case):
    _, site, program = built(*case)
    for op in site.network.convolutions:
        owned = np.zeros((op.y.channels, op.x.channels), int)
        masters = site.cutter.masters(program.weight_splits[op.name], op)
        for rows, channels in zip(masters.rows, masters.channels, strict=True):
            owned[slice(*rows), slice(*channels)] += 1
        assert (owned == 1).all()


@pytest.mark.parametrize("case", CASES)
def test_regions_in_use_at_a_time_do_not_overlap(case):
    _, _, program = built(*case)
    for chip in range(program.n_chips):
        here = [r for r in program.regions if r.bytes[chip]]
        for i, one in enumerate(here):
            assert one.address[chip] % 8 == 0
            assert one.first_phase <= one.last_phase < len(program.phases)
            for other in here[:i]:
                if one.first_phase <= other.last_phase and other.first_phase <= one.last_phase:
                    first, second = sorted([one, other], key=lambda r: int(r.address[chip]))
                    assert first.address[chip] + first.bytes[chip] <= second.address[chip]


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_complete_before_the_update(case):
    _, site, program = built(*case)
    names = {gradient.name: gradient.elements for gradient in program.gradients}
    assert names == site.network.parameters
    update = next(i for i, phase in enumerate(program.phases) if phase.name == "update")
    phases = [gradient.phase for gradient in program.gradients]
    assert phases == sorted(phases) and phases[-1] <= update


def test_the_same_input_gives_the_same_program(tmp_path):
    for name in ("first", "second"):
        _, program = mixed_program(machines()["three chips"])
        write_program(program, tmp_path / name)
    with np.load(tmp_path / "first") as first, np.load(tmp_path / "second") as second:
        assert first.files == second.files
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(0, 7), st.integers(1, 4))
def test_trees_reach_any_targets(count, seed, size):
    mesh = Mesh(machines()["board with faults"])
    rng = np.random.default_rng(seed)
    wanted = [
        (int(source), tuple(sorted(set(rng.integers(0, mesh.n, size).tolist()) - {int(source)})), 1)
        for source in rng.integers(0, mesh.n, count)
    ]
    wanted = [each for each in wanted if each[1]]
    for (source, targets, _), tree in zip(wanted, mesh.trees(wanted), strict=True):
        for target in targets:
            hops, at = 0, target
            while at != source:
                at, link = tree.came[at]
                assert mesh.neighbour[at, link % 6] >= 0 and link // 6 == at
                hops += 1
            assert hops <= tree.hops
