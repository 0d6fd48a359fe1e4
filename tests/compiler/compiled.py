"""Small networks, machines with faults, and their programs."""

from functools import cache

from orchestrator.compiler.assemble import assemble
from orchestrator.compiler.choices import Prices
from orchestrator.compiler.compile import make_site
from orchestrator.compiler.program import Program
from orchestrator.compiler.search import Choice, candidates, cut_by
from orchestrator.compiler.shares import Shares
from orchestrator.compiler.site import Site
from orchestrator.config import ModelConfig
from orchestrator.machine import Faults, Link, Machine, single_board, single_chip, spinn3
from orchestrator.model.graph import Graph
from orchestrator.model.zoo import build_network
from orchestrator.perf.rates import rates

RATES = rates()


@cache
def resnet8(image_size: int = 32) -> Graph:
    """Return a small network with shortcuts and projections."""
    return build_network(ModelConfig(name="resnet8", image_size=image_size), 10)


def program_of(site: Site, choices: dict[str, Choice], packet_cores: int = 1) -> Program:
    """Return the program of given choices."""
    shares = Shares(site.table, site.images, site.cores - site.packet_cores(packet_cores))
    prices = Prices(site, shares, packet_cores, RATES)
    cuts = cut_by(site.network, prices, choices)
    return assemble(site, *cuts, packet_cores, RATES, "test")


def machines() -> dict[str, Machine]:
    """Return machines of several shapes, with parts that do not work."""
    return {
        "one chip": single_chip(spinn3(), 1, 1),
        "four chips": spinn3(),
        "three chips": spinn3(Faults(chips=frozenset({(0, 1)}), cores=frozenset({(1, 1, 4)}))),
        "board with faults": single_board(
            Faults(
                chips=frozenset({(3, 3), (4, 0)}),
                links=frozenset({(0, 0, Link.EAST), (5, 5, Link.NORTH), (2, 2, Link.NORTH_EAST)}),
                cores=frozenset({(1, 0, 3), (1, 0, 4), (1, 0, 5)}),
            )
        ),
    }


def mixed_program(machine: Machine, seed: int = 0, images: int = 4) -> tuple[Site, Program]:
    """Return a program whose layers are cut in different ways, one after the other."""
    site = make_site(resnet8(), machine, images)
    weighed = candidates(site.mesh.n)
    choices = {
        op.name: weighed[(7 * i + 3 * seed) % len(weighed)]
        for i, op in enumerate(site.network.convolutions)
    }
    return site, program_of(site, choices)
