"""Strategies for property tests: machines with dead parts."""

from hypothesis import strategies as st

from orchestrator.machine import Faults, Link, Machine, triads
from orchestrator.machine.geometry import BOARD_CHIPS, ethernet_chips


@st.composite
def machines(draw: st.DrawFn, longest: int = 4, most_faults: int = 4) -> Machine:
    """Machines of a few triads, closed or open, with some dead parts; at least one board lives."""
    width, height = draw(st.tuples(st.integers(1, longest), st.integers(1, longest)))
    wraps = draw(st.tuples(st.booleans(), st.booleans()))
    whole = triads(width, height, wraps)
    boards = st.sampled_from([tuple(board) for board in whole.boards.tolist()])
    links = st.sampled_from(list(Link))

    @st.composite
    def chips(draw: st.DrawFn) -> tuple[int, int]:
        number = draw(st.integers(0, whole.n_boards - 1))
        east, north = draw(st.sampled_from(BOARD_CHIPS))
        x, y = ethernet_chips(whole.boards[[number]])[0] + (east, north)
        return int(x) % whole.width, int(y) % whole.height

    def some(strategy: st.SearchStrategy) -> st.SearchStrategy:
        return st.frozensets(strategy, max_size=most_faults)

    dead = draw(st.frozensets(boards, max_size=min(most_faults, whole.n_boards - 1)))
    faults = Faults(
        boards=dead,
        chips=draw(some(chips())),
        cores=draw(some(st.builds(lambda chip, core: (*chip, core), chips(), st.integers(0, 17)))),
        links=draw(some(st.builds(lambda chip, link: (*chip, link), chips(), links))),
        cables=draw(some(st.builds(lambda board, link: (*board, link), boards, links))),
    )
    return triads(width, height, wraps, faults)
