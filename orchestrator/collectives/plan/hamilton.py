"""Three Hamilton cycles that share no cable, on a torus of boards.

Every board of a closed machine has six cables, along three axes, and the cables along one axis form
cycles. Where the cycle of an axis visits all boards, it is a Hamilton cycle as it stands. Elsewhere
the cycles are joined: colour each cable by its axis; in a rhombus of four boards whose opposite
sides have equal colours, exchange the two colours. Each board keeps two cables of each colour, so
colours remain sets of cycles, and where opposite sides lay on different cycles of a colour those
become one. A search over rhombi, random but always the same, goes on until each colour is one
cycle.

References
----------
Bermond, Favaron, Maheo 1989: degree 4 splits into two Hamilton cycles; degree 6 is Alspach's
conjecture. Albader, arXiv 2606.19832: three cycles for Eisenstein-Jacobi networks, spliced by local
switches of this kind.
"""

from dataclasses import dataclass

import numpy as np

from orchestrator.machine.boards import BoardGraph
from orchestrator.machine.geometry import Ints
from orchestrator.machine.links import Link

AXES = (Link.EAST, Link.NORTH_EAST, Link.NORTH)
_PAIRS = ((0, 1), (0, 2), (1, 2))
_SEED = 1
_MOST_SWEEPS = 1000  # over all rhombi; the tori tried need fewer than 50


@dataclass(frozen=True, eq=False)
class Cycle:
    """Boards in cyclic order, and the direction of the cable from each to the next.

    Attributes
    ----------
    boards : int64 [p].
    links : int64 [p]; -1 for a way over several cables.
    """

    boards: Ints
    links: Ints

    @property
    def reverse(self) -> "Cycle":
        """Return the cycle run the other way, over the same cables."""
        backward = np.roll(self.links[::-1], -1)
        return Cycle(self.boards[::-1].copy(), np.where(backward < 0, -1, (backward + 3) % 6))


def hamilton_cycles(graph: BoardGraph) -> tuple[Cycle, Cycle, Cycle] | None:
    """Return three Hamilton cycles without a common cable, or None where there are none.

    None also where the search fails, and at once where a board lacks one of its six cables: then
    three such cycles, which use six cables of each board, cannot exist.
    """
    if graph.n_boards < 3 or not (graph.channels > 0).all() or not graph.is_connected:
        return None
    colouring = _Colouring(graph)
    if not colouring.join():
        return None
    first, second, third = (colouring.cycle(colour) for colour in range(3))
    return first, second, third


class _Colouring:
    """Cables coloured so that each board has two of each of three colours.

    A cable is numbered 3 * board + axis, for the board it leaves eastward, north-eastward or
    northward.
    """

    def __init__(self, graph: BoardGraph) -> None:
        self._n = graph.n_boards
        self._neighbour: list[list[int]] = graph.neighbour.tolist()
        self._colour = [axis for _ in range(self._n) for axis in range(3)]
        self._label: list[list[int]] = [[], [], []]  # of each board's cycle, for each colour
        self._next: list[list[int]] = [[], [], []]  # direction in which the cycle leaves a board
        self._count = [0, 0, 0]
        for colour in range(3):
            self._trace(colour)

    def join(self) -> bool:
        """Exchange colours until each is one cycle; return whether that succeeded.

        A sweep over all rhombi takes every exchange that makes fewer cycles. After one that found
        none, the next also takes an exchange that makes as many, to get elsewhere.
        """
        random = np.random.default_rng(_SEED)
        least_gain = 1
        for _ in range(_MOST_SWEEPS):
            before = sum(self._count)
            if before == 3:
                return True
            for rhombus in random.permutation(3 * self._n).tolist():
                gain = self._try(rhombus // 3, *_PAIRS[rhombus % 3], least_gain)
                if gain == 0:
                    least_gain = 1
            least_gain = 1 if sum(self._count) < before else 0
        return sum(self._count) == 3

    def _try(self, board: int, axis: int, other: int, least_gain: int) -> int | None:
        """Exchange the colours of a rhombus where that joins cycles; return how many fewer."""
        east = self._neighbour[board][AXES[axis]]
        north = self._neighbour[board][AXES[other]]
        corner = self._neighbour[east][AXES[other]]
        sides = (3 * board + axis, 3 * north + axis)
        others = (3 * board + other, 3 * east + other)
        one, two = self._colour[sides[0]], self._colour[others[0]]
        if one == two or self._colour[sides[1]] != one or self._colour[others[1]] != two:
            return None
        if len({board, east, north, corner}) < 4:
            return None
        gain = self._fewer(one, board, north, AXES[axis]) + self._fewer(
            two, board, east, AXES[other]
        )
        if gain < least_gain:
            return None
        for cable in sides:
            self._colour[cable] = two
        for cable in others:
            self._colour[cable] = one
        self._trace(one)
        self._trace(two)
        return gain

    def _fewer(self, colour: int, board: int, opposite: int, axis: Link) -> int:
        """Return how many fewer cycles a colour has without two opposite sides of a rhombus.

        The sides leave the two boards along the axis. Two cycles become one; a cycle that runs
        through both sides in the same direction stays one; otherwise it falls into two.
        """
        if self._label[colour][board] != self._label[colour][opposite]:
            return 1
        along = self._next[colour][board] == axis
        return 0 if along == (self._next[colour][opposite] == axis) else -1

    def _out(self, board: int, colour: int) -> tuple[int, ...]:
        """Return the two directions in which cables of a colour leave a board."""
        neighbour, colours = self._neighbour[board], self._colour
        return tuple(
            link
            for link in range(6)
            if colours[3 * board + link if link < 3 else 3 * neighbour[link] + link - 3] == colour
        )

    def _trace(self, colour: int) -> None:
        """Follow the cycles of a colour anew."""
        label, leaves = [-1] * self._n, [-1] * self._n
        count = 0
        for start in range(self._n):
            if label[start] < 0:
                for board, link in self._walk(start, colour):
                    label[board], leaves[board] = count, link
                count += 1
        self._label[colour], self._next[colour], self._count[colour] = label, leaves, count

    def _walk(self, start: int, colour: int) -> list[tuple[int, int]]:
        """Return the cycle of this colour through a board: each board and the direction on."""
        board, link = start, self._out(start, colour)[0]
        steps = []
        while True:
            steps.append((board, link))
            board = self._neighbour[board][link]
            if board == start:
                return steps
            back = (link + 3) % 6
            ways = self._out(board, colour)
            link = ways[1] if ways[0] == back else ways[0]

    def cycle(self, colour: int) -> Cycle:
        """Return the cycle of a colour that has one."""
        boards, links = np.array(self._walk(0, colour)).T
        return Cycle(boards, links)
