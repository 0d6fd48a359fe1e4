"""Recursive halving and doubling (Rabenseifner 2004): few rounds, distant partners."""

import numpy as np

from orchestrator.collectives.plan.schedule import Phase, Round, Schedule, folded, make_round
from orchestrator.machine.geometry import Ints


def halving_doubling(boards: Ints) -> Schedule:
    """Return the sum over boards by halving and doubling, near partners first.

    In round i a board exchanges half of the pieces it still has with the board at distance 2^i in
    the order given; then the rounds run backward with sums. 2 log2 p rounds, for powers of two;
    other counts fold the rest onto partners first.
    """
    n_steps = len(boards).bit_length() - 1
    q = 1 << n_steps
    core = boards[:q]
    place = np.arange(q)

    def kept(step: int) -> Ints:
        """Return the first piece of what each place is still responsible for before a step."""
        bits = (place >> np.arange(n_steps)[:, None]) & 1
        worth = q >> np.arange(1, n_steps + 1)
        first: Ints = (bits[:step] * worth[:step, None]).sum(axis=0)
        return first

    def halve(i: int) -> Round:
        other = place ^ (1 << i)
        first, count = kept(i + 1)[other], q >> (i + 1)
        return make_round(core, core[other], first, count=count, addends=1 << i, reduce=True)

    def double(i: int) -> Round:
        step = n_steps - 1 - i
        other = place ^ (1 << step)
        return make_round(
            core, core[other], kept(step + 1), count=q >> (step + 1), addends=q, reduce=False
        )

    phases = (Phase(n_steps, halve), Phase(n_steps, double))
    return folded(
        Schedule("halving-doubling", core, q, phases), boards[q:], core[: len(boards) - q]
    )
